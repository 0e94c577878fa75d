// Package cost makes out what a registry's storage costs that keeps no account of it, Amazon's: from the images there are now and their
// manifests, layers that images share counted once, as they are billed. What was there before, and what was fetched, such a registry does not
// tell; a Berth does (berth cost asks it instead).
package cost

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// API is what is asked of an ECR; *ecr.Client has it.
type API interface {
	lifecycle.ImagesAPI
	DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error)
}

// Holding is what a repository holds, or an app in it.
type Holding struct {
	Repository string
	App        string // by the images' tags; empty: of none, or the whole repository
	Images     int
	Logical    int64   // bytes of all images, each by itself: what adding up DescribeImages comes to
	Stored     float64 // bytes of layers in the standard class, each once; what apps share is divided evenly among them
	Archived   int64   // bytes of archived images, which cannot be read: as the registry lists them
	Unread     int     // images whose manifest could not be read: their size counts, shared or not
}

// Repositories lists what may be listed.
func Repositories(ctx context.Context, api API) ([]string, error) {
	var names []string
	for pages := ecr.NewDescribeRepositoriesPaginator(api, &ecr.DescribeRepositoriesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, platform.Plain(err)
		}
		for _, r := range page.Repositories {
			names = append(names, *r.RepositoryName)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Of weighs a repository: what it holds, by app. It reads the manifests of all images, which the registry counts as pulls.
func Of(ctx context.Context, api API, repository string) ([]Holding, error) {
	images, err := lifecycle.Images(ctx, api, repository)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", repository, err)
	}
	return weigh(repository, images), nil
}

// weigh divides a repository's bytes among its apps. The images of an index, and what refers to an image, go with it.
func weigh(repository string, images []lifecycle.Image) []Holding {
	apps := appsOf(images)
	holdings := map[string]*Holding{}
	users := map[oci.Digest]map[string]bool{} // of each content: whose it is
	sizes := map[oci.Digest]int64{}
	use := func(d oci.Digest, size int64, app string) {
		if users[d] == nil {
			users[d] = map[string]bool{}
		}
		users[d][app] = true
		sizes[d] = max(sizes[d], size)
	}
	for _, img := range images {
		for i, app := range apps[img.Digest] {
			h := holdings[app]
			if h == nil {
				h = &Holding{Repository: repository, App: app}
				holdings[app] = h
			}
			if i == 0 { // an image of two apps is listed with the first, and paid by both
				h.Images++
				h.Logical += img.Size
			}
			switch {
			case img.Archived && i == 0:
				h.Archived += img.Size
			case img.Archived:
			case !img.Read:
				h.Unread++
				use(img.Digest, img.Size, app)
			default:
				use(img.Digest, img.ManifestSize, app)
				for _, b := range img.Blobs {
					use(b.Digest, b.Size, app)
				}
			}
		}
	}
	for d, by := range users {
		for app := range by {
			holdings[app].Stored += float64(sizes[d]) / float64(len(by))
		}
	}
	all := make([]Holding, 0, len(holdings))
	for _, h := range holdings {
		all = append(all, *h)
	}
	slices.SortFunc(all, func(a, b Holding) int { return cmp.Or(cmp.Compare(b.Stored, a.Stored), cmp.Compare(a.App, b.App)) })
	return all
}

// appsOf gives the apps of each image, sorted: by its tags, by the indexes that refer to it, by what it refers to; or the one app "".
func appsOf(images []lifecycle.Image) map[oci.Digest][]string {
	apps := make(map[oci.Digest][]string, len(images))
	add := func(d oci.Digest, more ...string) bool {
		before := len(apps[d])
		for _, app := range more {
			if !slices.Contains(apps[d], app) {
				apps[d] = append(apps[d], app)
			}
		}
		return len(apps[d]) > before
	}
	for _, img := range images {
		for _, tag := range img.Tags {
			if app, ok := oci.AppOf(tag); ok {
				add(img.Digest, app)
			}
		}
	}
	for changed := true; changed; { // an index may refer to indexes, a signature to an SBOM
		changed = false
		for _, img := range images {
			for _, child := range img.Children {
				changed = add(child, apps[img.Digest]...) || changed
			}
			if img.Subject != "" {
				changed = add(img.Digest, apps[img.Subject]...) || changed
			}
		}
	}
	for _, img := range images {
		if len(apps[img.Digest]) == 0 {
			add(img.Digest, "")
		}
		slices.Sort(apps[img.Digest])
	}
	return apps
}

// Costs is what holdings cost that stay as they are for a month, by a sheet. Archived bytes cost what others do, which is Amazon's price up
// to 150 TB.
func Costs(sheet price.Sheet, m price.Month, holdings []Holding) []price.Cost {
	used := make([]price.Used, len(holdings))
	for i, h := range holdings {
		used[i].StoredByteHours = (h.Stored + float64(h.Archived)) * m.Hours()
	}
	return sheet.Bill(m, m.Hours(), used)
}
