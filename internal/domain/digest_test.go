package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeople(t *testing.T) {
	ids := func(list ...string) []string { return list }
	want := People(ids("ann", "bob"), nil, nil, false)
	for _, users := range [][]string{ids("Ann", "Bob"), ids("Bob", "Ann"), ids("bob", "ANN")} {
		given := append([]string(nil), users...)
		require.Equal(t, want, People(users, nil, nil, false), users)
		require.Equal(t, given, users, "the list stays as it is")
	}
	require.Equal(t, People(ids("a"), ids("2", "10"), ids("T", "s"), false), People(ids("A"), ids("10", "2"), ids("S", "t"), false))
	others := map[string]bool{want: true}
	for _, name := range []string{
		People(ids("ann"), nil, nil, false), People(ids("ann", "bob", "carl"), nil, nil, false), People(ids("ann"), ids("bob"), nil, false),
		People(ids("ann"), nil, ids("bob"), false), People(nil, ids("ann", "bob"), nil, false), People(nil, nil, nil, true),
	} {
		require.False(t, others[name], name)
		others[name] = true
	}
}
