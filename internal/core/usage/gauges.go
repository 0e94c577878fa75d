package usage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// RepositoryRef is a repository that is gauged.
type RepositoryRef struct {
	ID   int64
	Name string
}

// GaugedImage is an image of it.
type GaugedImage struct {
	ID int64
	Labels
	App      string         // whose it was in the last round
	Findings map[string]int // by severity; nil: it was not scanned
}

// GaugedLayer is a layer of it that is stored.
type GaugedLayer struct {
	Digest  oci.Digest
	Size    int64
	Outside bool           // an image of another repository has it too
	Users   map[string]int // how many images of each app have it; of no app: the empty name
}

// Gauging reads what is to be gauged, in pages, so that a repository of any size takes little memory and no statement takes long.
type Gauging interface {
	// RepositoriesAfter lists repositories from the one behind an id.
	RepositoriesAfter(ctx context.Context, id int64, limit int) ([]RepositoryRef, error)
	// ImagesAfter lists a repository's images from the one behind an id.
	ImagesAfter(ctx context.Context, repositoryID, id int64, limit int) ([]GaugedImage, error)
	// SetApps stores whose images are, in one transaction. The empty name: nobody's.
	SetApps(ctx context.Context, apps map[int64]string) error
	// LayersAfter gives the layers that a repository's images have, from the one behind a digest, and where to go on; empty: they were the
	// last.
	LayersAfter(ctx context.Context, repositoryID int64, d oci.Digest, limit int) (layers []GaugedLayer, next oci.Digest, err error)
	// TrashBytes is what only a repository's deleted images need.
	TrashBytes(ctx context.Context, repository string) (int64, error)
}

const (
	gauging = "gauges" // the name of a round
	// gaugingClaim is longer than a repository of 100,000 images takes on a slow machine.
	gaugingClaim = 20 * time.Minute
	imagePage    = 500
	layerPage    = 1000
	// together is how many repositories, and enough is after how many images' worth of work, a step ends.
	together = 20
	enough   = 2000
	// appsAtOnce bounds a transaction: each app has five points.
	appsAtOnce = 200
)

// severities are those of findings, in ECR's words, that every scanned repository has a point of, though there be none.
var severities = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"} //nolint:gochecknoglobals // a table

// GaugeOnce does a piece of the hourly round that measures what repositories hold, and tells whether there is more to do. Of all replicas
// one does a piece; one that is left by a crash is done by another. A piece's points are written with the mark that it is done.
func (s *Service) GaugeOnce(ctx context.Context) (more bool, err error) {
	now := s.now()
	step, found, err := s.upkeep.ClaimRound(ctx, gauging, now, now.Add(gaugingClaim), rounds)
	if err != nil || !found {
		return false, err
	}
	at, err := parsePlace(step.Place)
	if err != nil {
		return false, err
	}
	batch := Batch{At: now}
	batch.Datums, at, err = s.gaugeSome(ctx, now, at)
	if err != nil {
		return false, fmt.Errorf("gauging repositories: %w", err)
	}
	step.Next, step.DueAt = at.String(), now
	if step.Next == "" {
		step.DueAt = floor(s.now(), rounds).Add(rounds)
	}
	batch.Round = &step
	if _, err := s.store.Count(ctx, batch); err != nil {
		return false, fmt.Errorf("storing gauges: %w", err)
	}
	return step.Next != "", nil
}

// gaugePlace is how far a round is: the repositories up to one are done, and of it, if an app is named, only the apps up to that.
type gaugePlace struct {
	repository int64
	app        string
}

func (p gaugePlace) String() string {
	if p.repository == 0 {
		return ""
	}
	return strings.TrimSuffix(strconv.FormatInt(p.repository, 10)+" "+p.app, " ")
}

func parsePlace(s string) (gaugePlace, error) {
	if s == "" {
		return gaugePlace{}, nil
	}
	id, app, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(id, 10, 64)
	return gaugePlace{n, app}, err
}

// gaugeSome gauges some repositories from a place, and gives the place behind them: none when they were the last.
func (s *Service) gaugeSome(ctx context.Context, now time.Time, from gaugePlace) ([]Datum, gaugePlace, error) {
	after := from.repository
	if from.app != "" {
		after-- // that one again, for the rest of it
	}
	repositories, err := s.gauging.RepositoriesAfter(ctx, after, together)
	if err != nil {
		return nil, from, err
	}
	var datums []Datum
	looked := 0
	for i, r := range repositories {
		g, err := s.gauge(ctx, r)
		if err != nil {
			return nil, from, fmt.Errorf("%s: %w", r.Name, err)
		}
		app := ""
		if r.ID == from.repository {
			app = from.app
		}
		made, rest := g.datums(now, app)
		datums = append(datums, made...)
		if rest != "" {
			return datums, gaugePlace{r.ID, rest}, nil
		}
		if looked += g.all.images; looked > enough || i == together-1 || len(datums) > appsAtOnce {
			return datums, gaugePlace{repository: r.ID}, nil
		}
	}
	return datums, gaugePlace{}, nil
}

// measures are what images take up.
type measures struct {
	images                          int
	logical, unique, shared, stored int64
}

// layer adds a layer that n of the images have.
func (m *measures) layer(size int64, n int, alone bool) {
	m.logical += size * int64(n)
	m.stored += size
	if alone {
		m.unique += size
	} else {
		m.shared += size
	}
}

// gauged is a repository's measures.
type gauged struct {
	repository string
	all        measures
	apps       map[string]*measures
	findings   map[string]int // nil: no image was scanned
	trash      int64
}

func (g *gauged) app(name string) *measures {
	if g.apps[name] == nil {
		g.apps[name] = &measures{}
	}
	return g.apps[name]
}

// gauge measures a repository: first whose its images are, then what its layers take up for whom.
func (s *Service) gauge(ctx context.Context, r RepositoryRef) (*gauged, error) {
	g := &gauged{repository: r.Name, apps: map[string]*measures{}}
	for after, more := int64(0), true; more; {
		images, err := s.gauging.ImagesAfter(ctx, r.ID, after, imagePage)
		if err != nil {
			return nil, err
		}
		moved := map[int64]string{}
		for _, i := range images {
			after = i.ID
			app := i.Labels.App()
			if app != i.App {
				moved[i.ID] = app
			}
			g.all.images++
			if app != "" {
				g.app(app).images++
			}
			g.found(i.Findings)
		}
		if len(moved) > 0 {
			if err := s.gauging.SetApps(ctx, moved); err != nil {
				return nil, err
			}
		}
		more = len(images) == imagePage
	}
	for after, more := oci.Digest(""), true; more; more = after != "" {
		layers, next, err := s.gauging.LayersAfter(ctx, r.ID, after, layerPage)
		if err != nil {
			return nil, err
		}
		for _, l := range layers {
			g.layer(l)
		}
		after = next
	}
	var err error
	g.trash, err = s.gauging.TrashBytes(ctx, r.Name)
	return g, err
}

func (g *gauged) found(findings map[string]int) {
	if findings == nil {
		return
	}
	if g.findings == nil {
		g.findings = map[string]int{}
	}
	for severity, n := range findings {
		g.findings[severity] += n
	}
}

func (g *gauged) layer(l GaugedLayer) {
	images := 0
	for app, n := range l.Users {
		images += n
		if app != "" {
			g.app(app).layer(l.Size, n, len(l.Users) == 1 && !l.Outside)
		}
	}
	g.all.layer(l.Size, images, !l.Outside)
}

// datums gives the points of the repository, unless an app is named, and of the apps behind that one. Where they are too many for a
// transaction it gives some, and the last app's name.
func (g *gauged) datums(at time.Time, after string) (made []Datum, rest string) {
	c := tally{at: at}
	repository := Dimension{DimensionRepository, g.repository}
	if after == "" {
		c.measures(g.all, repository)
		c.gauge(TrashBytes, "Bytes", g.trash, repository)
		for _, severity := range severities {
			if g.findings != nil {
				c.gauge(FindingCount, "Count", int64(g.findings[severity]), repository, Dimension{DimensionSeverity, severity})
			}
		}
	}
	apps := slices.Sorted(maps.Keys(g.apps))
	start, found := slices.BinarySearch(apps, after)
	if found {
		start++
	}
	apps = apps[start:]
	if len(apps) > appsAtOnce {
		apps = apps[:appsAtOnce]
		rest = apps[appsAtOnce-1]
	}
	for _, app := range apps {
		c.measures(*g.apps[app], repository, Dimension{DimensionApp, app})
	}
	return c.datums, rest
}

func (c *tally) measures(m measures, dimensions ...Dimension) {
	c.gauge(ImageCount, "Count", int64(m.images), dimensions...)
	c.gauge(LogicalBytes, "Bytes", m.logical, dimensions...)
	c.gauge(UniqueBytes, "Bytes", m.unique, dimensions...)
	c.gauge(SharedBytes, "Bytes", m.shared, dimensions...)
	c.gauge(StoredBytes, "Bytes", m.stored, dimensions...)
}

func (c *tally) gauge(name, unit string, n int64, dimensions ...Dimension) {
	v := float64(n)
	c.add(NamespaceBerth, name, unit, Point{Count: 1, Sum: v, Min: v, Max: v}, dimensions...)
}
