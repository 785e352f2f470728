package store

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const lockName = "hongyan.lock"

// Lock keeps every process from serving the SQLite file db until it is closed.
// It fails, naming the process, when one does already.
func Lock(db string) (io.Closer, error) { return lockFile(db) }

// lockFile makes sure that one process serves a SQLite file. The file stays
// when the process ends; only the lock on it counts.
func lockFile(db string) (*os.File, error) {
	path := filepath.Join(filepath.Dir(db), lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // beside the operator's database
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	ok, err := tryLock(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		text, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
		_ = f.Close()
		pid := strings.TrimSpace(string(text))
		if pid == "" {
			pid = "unknown"
		}
		return nil, fmt.Errorf("%s is in use by process %s", db, pid)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write lock file: %w", err)
	}
	return f, nil
}
