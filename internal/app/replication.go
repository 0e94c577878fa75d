package app

import (
	"context"
	"log/slog"

	"github.com/hoopstat-haus/berth/internal/core/replicate"
	"github.com/hoopstat-haus/berth/internal/jobs"
	"github.com/hoopstat-haus/berth/internal/remote/berthclient"
)

// senders is how many images a process sends to other registries at a time.
const senders = 4

// newReplication puts replication together.
func (a *App) newReplication() *replicate.Service {
	remotes := map[replicate.Destination]replicate.Remote{}
	for _, d := range a.cfg.Destinations {
		region, account := a.cfg.Place(d)
		at := replicate.Destination{Region: region, RegistryID: account}
		client := berthclient.New(berthclient.Config{
			URL: d.URL, Region: at.Region, AccessKeyID: d.AccessKeyID, SecretAccessKey: d.SecretAccessKey, Now: a.deps.Now,
			Wrap: a.telemetry.Transport(true),
		})
		remotes[at] = client
		a.remotes = append(a.remotes, client)
	}
	return replicate.New(replicate.Config{
		Registry: a.registry, Database: a.database, Store: a.database.Replications(), Backfills: a.database.Backfills(), Region: a.cfg.Region,
		Remotes: remotes, Now: a.deps.Now, Wake: a.toSend.Ring, WakeBackfills: a.toBackfill.Ring, Report: a.reportReplication,
	})
}

// reportReplication logs why an image did not get through.
func (a *App) reportReplication(ctx context.Context, row replicate.Row, err error) {
	a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "an image was not replicated",
		slog.String("repository", row.Repository), slog.String("digest", row.Digest.String()),
		slog.String("destination", row.Destination.String()), slog.Int("attempts", row.Attempts+1), slog.Any("error", err))
}

func (a *App) replicationJobs() []jobs.Job {
	all := []jobs.Job{{Name: "replication backfills", Every: lookAgain, Wake: a.toBackfill.C(), Do: a.replication.BackfillOnce}}
	for range senders {
		all = append(all, jobs.Job{Name: "replication", Every: lookAgain, Wake: a.toSend.C(), Do: a.replication.SendOnce})
	}
	return all
}
