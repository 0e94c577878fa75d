package lifecycle_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for selection, want := range map[string]string{
		`{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1}`:                                                   "any image, all but the newest",
		`{"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":10}`:                       "tagged v*, all but the newest 10",
		`{"tagStatus":"tagged","tagPrefixList":["a","b"],"countType":"imageCountMoreThan","countNumber":2}`:                      "tagged a* and b*, all but the newest 2",
		`{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1}`:                             "untagged, pushed over 1 day ago",
		`{"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":90}`:                                 "any image, last pulled, or never and pushed, over 90 days ago",
		`{"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":365}`: "any image, in the archive, archived over 365 days ago",
		`{"tagStatus":"any","countType":"perMoon","countNumber":3,"moon":{"phase":"new"}}`:                                       `any image, perMoon 3, moon {"phase":"new"}`,
	} {
		rules, err := lifecycle.ReadRules(`{"rules":[{"rulePriority":7,"selection":` + selection + `,"action":{"type":"expire"}}]}`)
		if err != nil {
			t.Errorf("ReadRules of %s: %v", selection, err)
			continue
		}
		if got := rules[7].Words(); got != want {
			t.Errorf("%s reads %q, want %q", selection, got, want)
		}
	}
	for _, text := range []string{"", "[]", `{"rules":[1]}`, `{"rules":[{"selection":[]}]}`} {
		if rules, err := lifecycle.ReadRules(text); err == nil {
			t.Errorf("ReadRules of %q is %v", text, rules)
		}
	}
}
