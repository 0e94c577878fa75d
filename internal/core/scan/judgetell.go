package scan

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

// tellAtOnce is how many images are told of in a transaction.
const tellAtOnce = 100

// TellOnce puts an event into the outbox for each of some images of which something has changed, and tells whether there may be more.
// What is told and that it has been told are written at once. Nothing is told of what an image was judged to have when it was saved.
func (j *Judge) TellOnce(ctx context.Context) (more bool, err error) {
	return j.store.TellChanges(ctx, tellAtOnce, func(c Changes, images []ToldImage) []event.Event {
		now := j.now()
		told := &event.Findings{New: asEvents(c.New), Fixed: asEvents(c.Fixed), MoreNew: c.MoreNew, MoreFixed: c.MoreFixed}
		events := make([]event.Event, len(images))
		for i, img := range images {
			events[i] = event.Event{
				Kind: event.FindingsChanged, At: now, Actor: j.actor, Repository: img.Repository, RepositoryID: img.RepositoryID,
				Digest: img.Digest, Tags: img.Tags, MediaType: img.MediaType, Findings: told,
			}
		}
		return events
	})
}

func asEvents(changes []Change) []event.Finding {
	var list []event.Finding
	for _, c := range changes {
		list = append(list, event.Finding{Vulnerability: c.Vulnerability, Package: c.Package, Severity: string(c.Severity)})
	}
	return list
}
