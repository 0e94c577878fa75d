package app

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/jobs"
	"github.com/hoopstat-haus/berth/internal/storage/journal"
)

// gatherRecords is how long the requests of a moment wait to be read from the log into the database together.
const gatherRecords = time.Second

// auditDirectory is where the audit logs of the processes of a data directory are.
func (a *App) auditDirectory() string { return filepath.Join(a.cfg.Data, "audit") }

// openAudit opens this process's log, and makes what reads it.
func (a *App) openAudit(ctx context.Context) error {
	key, err := audit.LoadKey(ctx, a.database, a.master, a.cfg.Account)
	if err != nil {
		return err
	}
	a.audits = audit.NewService(audit.ServiceConfig{
		Registry: a.registry, Store: a.database.Audit(), Files: journal.Directory(a.auditDirectory()), Key: key,
	})
	if !a.cfg.AuditLog {
		return nil
	}
	encoder := audit.Encoder{Account: a.cfg.Account, Region: a.cfg.Region}
	a.journal, err = journal.Open(journal.Config{
		Dir: a.auditDirectory(), Now: a.deps.Now, Keep: a.cfg.AuditKeepFiles, Notice: encoder.Notice, Logger: a.deps.Logger,
	})
	if err != nil {
		return err
	}
	a.recorder = audit.NewRecorder(a.journal, encoder, a.deps.Now, a.toIndex.Ring)
	a.itself = audit.NewItself(a.journal, encoder, a.toIndex.Ring)
	a.indexer = audit.NewIndexer(audit.IndexerConfig{
		Journal: a.journal, Store: a.database.Audit(), Key: key, Encoder: encoder, Now: a.deps.Now, Logger: a.deps.Logger,
		Keep: a.cfg.AuditKeepRecords, Notify: a.outbox.Ring,
	})
	return a.indexer.Begin(ctx)
}

// record is what the middleware hands entries to, nil where there is no log.
func (a *App) record() func(*audit.Entry) {
	if a.recorder == nil {
		return nil
	}
	return a.recorder.Record
}

func (a *App) auditJobs() []jobs.Job {
	if a.indexer == nil {
		return nil
	}
	return []jobs.Job{
		{Name: "audit log", Every: lookAgain, Wake: a.toIndex.C(), Gather: gatherRecords, Do: a.indexer.Once},
		{Name: "old audit records", Every: time.Minute, Do: a.indexer.DropOnce},
	}
}

// indexRest reads what requests left since the job that reads the log has ended: this process may be the last to see it.
func (a *App) indexRest(ctx context.Context) {
	if a.indexer == nil {
		return
	}
	for more := true; more; {
		var err error
		if more, err = a.indexer.Once(ctx); err != nil {
			a.deps.Logger.LogAttrs(ctx, slog.LevelError, "reading the rest of the audit log; the next start does", slog.Any("error", err))
			return
		}
	}
}
