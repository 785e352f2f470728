package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// The log has an errcode where the API has one: 0 is WeCom's word for success,
// not for its silence.
func TestErrcodeInTheLog(t *testing.T) {
	for class, codes := range map[wecom.Class]map[int]bool{
		wecom.ClassOK: {0: true}, wecom.ClassNotSent: {0: false}, wecom.ClassAmbiguous: {0: false, -1: true},
	} {
		for code, shown := range codes {
			r := &domain.Result{Attempt: domain.Attempt{Class: string(class), Errcode: code}}
			line := told(&domain.Delivery{}, "ops", r)
			require.Equal(t, 0, len(line)%2)
			if require.Contains(t, line, "duration_ms"); shown {
				require.Contains(t, line, "errcode", class)
			} else {
				require.NotContains(t, line, "errcode", class)
			}
		}
	}
}
