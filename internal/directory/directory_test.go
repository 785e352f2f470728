package directory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/directory"
	"hongyan/internal/domain"
	"hongyan/sandbox"
	"hongyan/wecom"
)

var everybody = []string{"zhangsan", "lisi", "wangwu", "zhaoliu", "sunqi", "hanmeimei", "zhouba", "wujiu"}

func TestMembers(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		w.pass(24 * time.Hour)
		require.Zero(w, w.calls(sandbox.OpGetToken), "nobody asked")
		require.Equal(w, domain.DirectoryUnknown, w.status().State)
		require.Zero(w, w.status().NextRefreshAt)

		for range 100 {
			w.unknown(is("2"), nil, false)
			w.unknown(nil, is("8"), false)
		}
		w.pass(time.Minute)
		require.Equal(w, 1, w.calls(sandbox.OpAgentGet), "one reading, however many ask")
		for _, c := range []struct {
			departments, tags []string
			all               bool
			want              []string
		}{
			{is("2"), nil, false, is("zhangsan", "lisi")}, // 21 is below 2
			{is("21"), nil, false, is("lisi")},
			{is("02"), nil, false, is("zhangsan", "lisi")},
			{is("4"), nil, false, is("zhaoliu", "zhouba")}, // also who is disabled
			{is("1"), nil, false, everybody},
			{nil, is("8"), false, is("zhaoliu", "hanmeimei", "sunqi")}, // and department 5
			{is("2", "21", "5"), is("8"), false, is("zhangsan", "lisi", "sunqi", "zhaoliu", "hanmeimei")},
			{nil, nil, true, everybody},
			{is("99"), is("99"), true, everybody}, // WeCom ignores the lists
			{nil, nil, false, nil},
		} {
			for range 2 {
				require.ElementsMatch(w, c.want, w.members(c.departments, c.tags, c.all), c)
			}
		}
		for _, c := range [][2][]string{{is("99"), nil}, {is("2", "99"), nil}, {is("x"), nil}, {is("-2"), nil}, {is(""), nil}, {nil, is("0")}, {is("2"), is("y")}} {
			w.unknown(c[0], c[1], false)
		}
		s := w.status()
		require.Equal(w, domain.DirectoryKnown, s.State)
		require.Equal(w, [3]int{8, 7, 1}, [3]int{s.Members, s.Departments, s.Tags})
		require.Zero(w, s.Failure)

		_, known := w.dir.Members("none", is("2"), nil, false)
		require.False(w, known)
		_, err := w.dir.Status(w.Context(), "none")
		require.Equal(w, domain.CodeAppNotFound, domain.CodeOf(err))
		require.Equal(w, domain.CodeAppNotFound, domain.CodeOf(w.dir.Refresh(w.Context(), "none")))
	})
}

func TestRenewal(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.NoError(w, w.box.PutMember(sandbox.Member{ID: "NewOne", Departments: []int{21}}))
		w.pass(6*time.Hour - time.Minute)
		require.Equal(w, is("zhangsan", "lisi"), w.members(is("2"), nil, false))
		w.pass(37 * time.Minute)
		require.ElementsMatch(w, is("zhangsan", "lisi", "newone"), w.members(is("2"), nil, false))
		require.Equal(w, 2, w.calls(sandbox.OpAgentGet))

		w.pass(7*24*time.Hour + 7*time.Hour)
		unused := w.calls(sandbox.OpAgentGet)
		require.Greater(w, unused, 20)
		w.pass(7 * 24 * time.Hour)
		require.Equal(w, unused, w.calls(sandbox.OpAgentGet), "nobody has asked for a week")
		require.Equal(w, domain.DirectoryUnknown, w.status().State)
		w.unknown(is("2"), nil, false)
		w.pass(time.Minute)
		require.Len(w, w.members(is("2"), nil, false), 3)
	})
}

func TestNewTagIsReadAlone(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.Zero(w, w.calls(sandbox.OpTagGet))
		w.unknown(nil, is("7"), false)
		w.unknown(nil, is("99"), false)
		w.pass(time.Second)
		require.ElementsMatch(w, is("wangwu", "lisi"), w.members(nil, is("7"), false))
		for range 10 {
			w.unknown(nil, is("99"), false)
			w.pass(time.Minute)
		}
		require.Equal(w, 2, w.calls(sandbox.OpTagGet), "what is not there is not asked for again")
		require.Equal(w, 1, w.calls(sandbox.OpAgentGet))
		require.Zero(w, w.status().Failure)
		w.pass(7 * time.Hour)
		require.Equal(w, 4, w.calls(sandbox.OpTagGet), "but with the next reading")
		require.ElementsMatch(w, is("wangwu", "lisi"), w.members(nil, is("7"), false))
	})
}

func TestUnheardDepartmentsAreLookedForRarely(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		for i := range 59 {
			w.unknown(is(fmt.Sprint(100+i)), nil, false)
			w.unknown(is("99"), nil, false)
			w.pass(time.Minute)
		}
		require.Equal(w, 6, w.calls(sandbox.OpAgentGet), "one in ten minutes")
		w.pass(30 * time.Minute)
		before := w.calls(sandbox.OpAgentGet)
		for range 60 {
			w.unknown(is("99"), nil, false)
			w.pass(time.Minute)
		}
		require.Equal(w, before, w.calls(sandbox.OpAgentGet), "99 was looked for")
		require.Zero(w, w.box.Counts().ByErrcode[60003])
	})
}

func TestFailuresBackOff(t *testing.T) {
	inWorld(t, sandbox.Options{CallerIP: "203.0.113.7"}, nil, func(w *world) {
		require.NoError(w, w.box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpAgentGet}, Errcode: 60020}))
		for range 60 {
			w.unknown(nil, nil, true)
			w.pass(time.Minute)
		}
		require.Equal(w, 1, w.calls(sandbox.OpAgentGet), "somebody has to change a setting first")
		s := w.status()
		require.Equal(w, domain.DirectoryUnknown, s.State)
		require.Equal(w, [2]any{60020, string(wecom.ClassConfig)}, [2]any{s.Failure.Errcode, s.Failure.Class})
		require.Equal(w, "203.0.113.7", s.Failure.SeenIP)
		require.WithinDuration(w, s.Failure.At.Add(time.Hour), s.NextRefreshAt, 6*time.Minute)

		require.NoError(w, w.box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpAgentGet}, HTTPStatus: 502}))
		w.dir.Changed("ops") // so that it is tried at once
		w.pass(4 * time.Minute)
		first := w.calls(sandbox.OpAgentGet)
		require.Equal(w, 1+3*3, first, "three tries each: at once, after a minute, after two more")
		w.pass(24 * time.Hour)
		require.Less(w, w.calls(sandbox.OpAgentGet)-first, 3*30, "about once an hour")

		require.NoError(w, w.box.SetFaults())
		w.pass(67 * time.Minute)
		require.Len(w, w.members(nil, nil, true), len(everybody))
		require.Zero(w, w.status().Failure)
	})
}

func TestPassingFailureIsRepeated(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpMembers}, Errcode: -1, Next: 2}))
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.Len(w, w.members(nil, nil, true), len(everybody))
		require.Equal(w, 7+2, w.calls(sandbox.OpMembers))
	})
}

func TestOldSnapshotServesForTwoDays(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.NoError(w, w.box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpMembers}, Errcode: 48002}))
		w.pass(7 * time.Hour)
		s := w.status()
		require.Equal(w, domain.DirectoryStale, s.State)
		require.Equal(w, 48002, s.Failure.Errcode)
		require.Len(w, w.members(nil, nil, true), len(everybody))
		w.pass(41*time.Hour - time.Minute)
		require.Len(w, w.members(nil, nil, true), len(everybody))
		w.pass(time.Minute)
		w.unknown(nil, nil, true)
		require.Equal(w, domain.DirectoryUnknown, w.status().State)
		require.Less(w, w.calls(sandbox.OpMembers), 7+60, "once an hour")

		require.NoError(w, w.box.SetFaults())
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.Len(w, w.members(nil, nil, true), len(everybody))
	})
}

func TestChangedSettings(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		wrong := ops()
		wrong.Secret = "wrong"
		w.apps.set(wrong)
		w.unknown(nil, nil, true)
		w.pass(time.Minute)
		require.Equal(w, 40001, w.status().Failure.Errcode)
		require.Equal(w, 1, w.calls(sandbox.OpGetToken), "wrong secrets get the address banned")
		w.apps.set(ops())
		w.dir.Changed("ops")
		w.pass(time.Minute)
		require.Len(w, w.members(nil, nil, true), len(everybody))

		renamed := ops()
		renamed.Name = "运维"
		w.apps.set(renamed)
		w.dir.Changed("ops")
		require.Len(w, w.members(nil, nil, true), len(everybody), "the same corp and app")
		other := ops()
		other.CorpID = "wwother"
		w.apps.set(other)
		w.dir.Changed("ops")
		w.unknown(nil, nil, true)
		w.pass(time.Minute)
		require.Equal(w, 40013, w.status().Failure.Errcode)
		require.Zero(w, w.status().Members)

		w.apps.remove("ops")
		w.dir.Changed("ops")
		w.pass(time.Second)
		list, err := w.store.ListDirectories(w.Context())
		require.NoError(w, err)
		require.Empty(w, list)
	})
}

func TestVisibleRange(t *testing.T) {
	visible := &sandbox.Range{Users: []string{"SunQi"}, Departments: []int{2}, Tags: []int{7}}
	app := sandbox.App{AgentID: sandbox.DevAgentID, Secret: sandbox.DevSecret, Visible: visible}
	inWorld(t, sandbox.Options{Apps: []sandbox.App{app}}, nil, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.ElementsMatch(w, is("sunqi", "zhangsan", "lisi", "wangwu"), w.members(nil, nil, true))
		require.ElementsMatch(w, is("zhangsan", "lisi"), w.members(is("2"), nil, false))
		w.unknown(is("3"), nil, false)

		app.Visible = &sandbox.Range{Users: []string{"sunqi"}}
		require.NoError(w, w.box.PutApp(app))
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.Equal(w, is("sunqi"), w.members(nil, nil, true), "an app may see no department at all")
	})
}

func TestRefusedDepartmentIsAGap(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		// The tree is read in the order of ids: 1, 2, 21, … of which the second is refused.
		require.NoError(w, w.box.SetFaults(
			sandbox.Fault{ID: "a", Match: sandbox.Match{Op: sandbox.OpMembers}, Errcode: 60011, Next: 1}))
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		require.Equal(w, is("zhangsan", "lisi"), w.members(is("2"), nil, false))
		w.unknown(is("1"), nil, false)
		w.unknown(nil, nil, true)
		require.Zero(w, w.status().Failure)

		require.NoError(w, w.box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpMembers}, Errcode: 60011}))
		err := w.dir.Refresh(w.Context(), "ops")
		require.ErrorContains(w, err, "60011", "all of them: the app may not read")
		require.Equal(w, is("zhangsan", "lisi"), w.members(is("2"), nil, false), "what was known stays")
	})
}

func TestBounds(t *testing.T) {
	opt := sandbox.Options{Departments: []sandbox.Department{{ID: 1}}}
	for i := 2; i <= 101; i++ {
		opt.Departments = append(opt.Departments, sandbox.Department{ID: i, ParentID: 1 + i%2*(i-3)}) // odd ones form a chain
		opt.Members = append(opt.Members, sandbox.Member{ID: fmt.Sprintf("u%d", i), Departments: []int{i}})
	}
	calls := func(c *directory.Config) { c.MaxCalls = 20 }
	inWorld(t, opt, calls, func(w *world) {
		w.unknown(is("91"), nil, false)
		w.pass(time.Minute)
		require.Equal(w, 18, w.calls(sandbox.OpMembers))
		require.ElementsMatch(w, is("u91", "u93", "u95", "u97", "u99", "u101"), w.members(is("91"), nil, false), "who was asked for comes first")
		w.unknown(nil, nil, true)
		w.unknown(is("1"), nil, false)
		s := w.status()
		require.Equal(w, domain.DirectoryKnown, s.State)
		require.Equal(w, domain.DirectoryLimit, s.Failure.Class)
		w.pass(5 * time.Hour)
		w.unknown(nil, nil, true)
		w.pass(time.Minute)
		require.Equal(w, 18, w.calls(sandbox.OpMembers), "reading again would not help")
	})
	people := func(c *directory.Config) { c.MaxMembers = 50 }
	inWorld(t, opt, people, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		w.unknown(nil, nil, true)
		require.Equal(w, 50, w.status().Members)
		require.Equal(w, domain.DirectoryLimit, w.status().Failure.Class)
	})
}

// Ids that nobody knows come from outside: they must not grow without bound.
func TestAskedIsBounded(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		for i := range 5000 {
			w.unknown(nil, is(fmt.Sprint(1000+i)), false)
		}
		w.pass(5 * time.Minute)
		require.Equal(w, 1000, w.calls(sandbox.OpTagGet))
	})
}

func TestRestart(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.dir.Refresh(w.Context(), "ops"))
		w.unknown(nil, is("7"), false)
		w.pass(time.Second)
		calls := w.calls(sandbox.OpGetToken)
		stop := w.start()
		require.ElementsMatch(w, everybody, w.members(nil, nil, true))
		require.ElementsMatch(w, is("wangwu", "lisi"), w.members(nil, is("7"), false))
		require.Equal(w, calls, w.calls(sandbox.OpGetToken), "nothing was asked for")
		stop()

		other := ops()
		other.BaseURL = "http://another.example"
		w.apps.set(other)
		stop = w.start()
		w.unknown(nil, nil, true)
		stop()

		require.NoError(w, w.store.PutDirectory(w.Context(), domain.DirectorySnapshot{App: "ops", Data: []byte("damaged"), FetchedAt: time.Now()}))
		require.NoError(w, w.store.PutDirectory(w.Context(), domain.DirectorySnapshot{App: "gone", Data: []byte("x"), FetchedAt: time.Now()}))
		w.apps.set(ops())
		stop = w.start()
		w.unknown(nil, nil, true)
		w.pass(time.Minute)
		require.ElementsMatch(w, everybody, w.members(nil, nil, true))
		list, err := w.store.ListDirectories(w.Context())
		require.NoError(w, err)
		require.Equal(w, is("ops"), list)
		stop()
	})
}

func TestNodesShareReadings(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		first := w.dir
		stop := w.start()
		second := w.dir
		require.NoError(w, first.Refresh(w.Context(), "ops"))
		w.unknown(nil, nil, true) // the second has not looked yet
		w.pass(time.Second)
		require.ElementsMatch(w, everybody, w.members(nil, nil, true))
		for range 10 {
			w.pass(7 * time.Hour)
			for _, d := range []*directory.Directory{first, second} {
				_, known := d.Members("ops", is("2"), nil, false)
				require.True(w, known)
			}
		}
		require.LessOrEqual(w, w.calls(sandbox.OpAgentGet), 1+12, "one of the two reads")
		stop()
	})
}

func TestRefreshWaits(t *testing.T) {
	inWorld(t, sandbox.Options{}, nil, func(w *world) {
		require.NoError(w, w.box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpAgentGet}, Latency: sandbox.Duration(9 * time.Second)}))
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		require.ErrorIs(w, w.dir.Refresh(ctx, "ops"), context.DeadlineExceeded)
		require.True(w, w.status().Refreshing)
		began := time.Now()
		w.unknown(is("2"), nil, false)
		require.Zero(w, time.Since(began), "no message waits for WeCom")
		w.pass(20 * time.Second)
		require.Len(w, w.members(is("2"), nil, false), 2, "it went on by itself")

		require.NoError(w, w.box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpDepartments}, Errcode: 45009}))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if err := w.dir.Refresh(w.Context(), "ops"); err == nil {
					w.Error("must tell why it failed")
				}
			})
		}
		group.Wait()
		require.LessOrEqual(w, w.calls(sandbox.OpDepartments), 3)
	})
}

func BenchmarkMembers(b *testing.B) {
	box := sandbox.New(sandbox.Options{})
	defer box.Close()
	d, stop := standing(b, box)
	defer stop()
	departments, tags := is("2", "3", "4"), is("8")
	b.ReportAllocs()
	for b.Loop() {
		if _, known := d.Members("ops", departments, tags, false); !known {
			b.Fatal("unknown")
		}
	}
}
