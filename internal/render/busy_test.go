package render

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBusyMachineRefusesNothing holds a template that was late after few steps
// against one that worked all the time.
func TestBusyMachineRefusesNothing(t *testing.T) {
	late := &machine{start: time.Now().Add(-2 * MaxTime), limit: patience * MaxTime}
	require.NoError(t, late.check(), "it waited for the processor")
	late.steps = fewSteps
	require.ErrorIs(t, late.check(), errTime, "it worked")
	late = &machine{start: time.Now().Add(-patience * MaxTime), limit: patience * MaxTime}
	require.ErrorIs(t, late.check(), errTime, "some time it must end")
}
