package gc

import (
	"context"
	"log/slog"
	"time"
)

// tellAgain is how long what goes is gathered for one line of the log.
const tellAgain = time.Minute

// tell logs what went for good since it was last told. Most layers and blobs that are looked at are needed, after each push for
// instance: they are not worth a line.
func (s *Service) tell(ctx context.Context) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	since := func(stage Stage) Amount {
		return Amount{Things: s.done[stage].Things - s.told[stage].Things, Bytes: s.done[stage].Bytes - s.told[stage].Bytes}
	}
	images, uploads, bytes := since(Trash), since(Uploads), since(Bytes)
	if images.Things+uploads.Things+bytes.Things == 0 || now.Sub(s.toldAt) < tellAgain {
		return
	}
	s.told, s.toldAt = s.done, now
	s.Logger.LogAttrs(ctx, slog.LevelInfo, "what nothing needs any more was removed", slog.Int64("trashed_images", images.Things),
		slog.Int64("uploads", uploads.Things), slog.Int64("objects", bytes.Things), slog.Int64("bytes", bytes.Bytes))
}
