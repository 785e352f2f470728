package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"hongyan/internal/config"
	"hongyan/internal/store"
)

func checkDatabase(ctx context.Context, cfg config.Config) []Check {
	url := cfg.DatabaseURL.Reveal()
	if !strings.HasPrefix(url, "postgres") {
		return []Check{{Name: "database", Status: "ok", What: "SQLite in one process; use PostgreSQL for several gateways"}}
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil { // the cause may print the password
		return []Check{{"database", "fail", "PostgreSQL does not answer", "nothing could be accepted", "check HONGYAN_DATABASE_URL, the server and the network"}}
	}
	defer conn.Close(ctx)
	out := []Check{checkServer(ctx, conn)}
	if c, found := checkNodes(ctx, url); found {
		out = append(out, c)
	}
	return out
}

func checkServer(ctx context.Context, conn *pgx.Conn) Check {
	var version, standbys int
	var commit, synchronous string
	var recovering bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'),
		current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication), pg_is_in_recovery()`).
		Scan(&version, &commit, &synchronous, &standbys, &recovering)
	switch {
	case err != nil:
		return Check{"database", "fail", "PostgreSQL answers but cannot be asked", "", "check the role's permissions"}
	case version < 150000:
		return Check{"database", "fail", fmt.Sprintf("PostgreSQL %d is too old", version/10000), "15 is the oldest that is tested", "upgrade the server"}
	case recovering:
		return Check{"database", "fail", "this PostgreSQL is a standby", "it takes no writes", "name the primary in HONGYAN_DATABASE_URL, or all hosts with target_session_attrs=read-write"}
	case commit == "off" || commit == "local" && synchronous != "":
		return Check{"database", "warn", "synchronous_commit is " + commit, "a crash of the server could lose accepted messages", "set synchronous_commit to on"}
	case standbys > 0 && synchronous == "":
		return Check{
			"database", "warn", fmt.Sprintf("%d standbys, none of them synchronous", standbys),
			"a failover could lose messages that were accepted", "name a standby in synchronous_standby_names",
		}
	}
	return Check{Name: "database", Status: "ok", What: fmt.Sprintf("PostgreSQL %d, synchronous_commit %s", version/10000, commit)}
}

// checkNodes lists the gateways beside the database; before the first start
// there are none.
func checkNodes(ctx context.Context, url string) (Check, bool) {
	nodes, err := store.Nodes(ctx, url)
	if err != nil || len(nodes) == 0 {
		return Check{}, false
	}
	said := make([]string, len(nodes))
	for i, n := range nodes {
		said[i] = fmt.Sprintf("%s (lanes: %d, heard of %d s ago)", n.Name, n.Lanes, int(n.Ago.Seconds()))
	}
	return Check{Name: "gateways", Status: "ok", What: strings.Join(said, ", ")}, true
}
