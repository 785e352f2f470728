package lane_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

// full is a store whose disk has no room when the node leaves.
type full struct{ *store.Store }

func (full) Leaving(context.Context, string) error {
	return domain.Errorf(domain.CodeDiskFull, "the disk of the database is full")
}

func (full) Leave(context.Context, string) error {
	return domain.Errorf(domain.CodeDiskFull, "the disk of the database is full")
}

// idle is a sender without work.
type idle struct{ lane.Sender }

func (idle) Nodes(int) {}

// TestStopOnAFullDisk: a stop that was asked for is no failure because of it.
func TestStopOnAFullDisk(t *testing.T) {
	e := lane.New(lane.Config{Node: "n1"}, full{storetest.SQLite(t)(t, "n1")}, idle{})
	require.NoError(t, e.Start(t.Context()))
	require.NoError(t, e.Stop(t.Context()))
}
