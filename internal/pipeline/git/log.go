package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LogEntry is a commit for people. Its texts are whoever's who made it.
type LogEntry struct {
	Commit  string
	Time    time.Time // when it was committed
	Author  string
	Subject string // its first line
}

// Log gives the commits that are in the history of one commit and not in that of another, newest first, at most so many. ErrNoCommit is that one
// of them is not here.
func (r *Repo) Log(ctx context.Context, since, until string, limit int) ([]LogEntry, error) {
	from, err := r.Commit(ctx, since)
	if err != nil {
		return nil, err
	}
	to, err := r.Commit(ctx, until)
	if err != nil {
		return nil, err
	}
	out, err := r.run(ctx, "log", "-z", "--no-show-signature", "--no-color", "--encoding=UTF-8", "--format=%H%n%ct%n%an%n%s", fmt.Sprintf("--max-count=%d", max(limit, 0)), to, "^"+from, "--")
	if err != nil {
		return nil, err
	}
	var all []LogEntry
	for _, text := range split(out) {
		const parts = 4
		lines := strings.SplitN(text, "\n", parts)
		if len(lines) < parts {
			return nil, fmt.Errorf("git log answers something else than a commit: %q", text)
		}
		seconds, err := strconv.ParseInt(lines[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git log answers something else than a time: %q", lines[1])
		}
		all = append(all, LogEntry{lines[0], time.Unix(seconds, 0).UTC(), lines[2], lines[3]})
	}
	return all, nil
}
