// Package scratch gives tests and benchmarks a part of a PostgreSQL database
// that nothing else uses.
package scratch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Time that making or dropping a schema may take: a benchmark's can hold
// millions of rows.
const patience = time.Minute

var schemas atomic.Int64

// Schema makes an empty schema in the database at base, a postgres:// URL, and
// returns the URL that uses it. drop removes the schema with all that is in it
// and may be called whatever ctx has come to.
func Schema(ctx context.Context, base string) (schema string, drop func() error, err error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", nil, errors.New("the database's URL does not parse") // a url.Error would print the password
	}
	name := fmt.Sprintf("scratch_%d_%d_%d", time.Now().UnixNano(), os.Getpid(), schemas.Add(1))
	if err := run(ctx, base, "CREATE SCHEMA "+name); err != nil {
		return "", nil, err
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), func() error {
		return run(context.WithoutCancel(ctx), base, "DROP SCHEMA "+name+" CASCADE")
	}, nil
}

func run(ctx context.Context, url, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
