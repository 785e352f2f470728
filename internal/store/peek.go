package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// NodeSeen is a gateway beside a PostgreSQL database.
type NodeSeen struct {
	Name  string
	Lanes int           // that it holds
	Ago   time.Duration // since its last heartbeat, by the database's clock
}

// Nodes lists the gateways that were heard of within an hour at the PostgreSQL
// database that a URL names, by name, at most 100. It opens no store and
// changes nothing; it fails where no gateway has ever been started.
func Nodes(ctx context.Context, url string) ([]NodeSeen, error) {
	const query = `SELECT n.name, (SELECT count(*) FROM lanes l WHERE l.owner = n.name), $1 - n.seen_at FROM nodes n
		WHERE n.seen_at > $1 - 3600000000 ORDER BY n.name LIMIT 100`
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, errors.New("connect to PostgreSQL") // err may quote the password
	}
	defer conn.Close(ctx)
	q := &pgQuerier{db: conn}
	now, err := q.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	return collect(ctx, q, query, []any{now.UnixMicro()}, func(r rows) (n NodeSeen, err error) {
		var ago int64
		err = r.Scan(&n.Name, &n.Lanes, &ago)
		n.Ago = time.Duration(max(ago, 0)) * time.Microsecond
		return n, err
	})
}
