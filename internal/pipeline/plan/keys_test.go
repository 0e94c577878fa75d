package plan_test

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// id is what git would have of a file: another for each content.
func (t tree) id(name string) (string, bool) {
	text, ok := t[name]
	sum := sha256.Sum256([]byte(text))
	return "100644 " + hex.EncodeToString(sum[:20]), ok
}

func graphOf(files tree) (*plan.Graph, error) {
	file, err := workspace.Parse("berth.yaml", []byte(files["berth.yaml"]))
	if err != nil {
		return nil, err
	}
	members, err := file.Resolve(files.Files())
	if err != nil {
		return nil, err
	}
	return plan.Read(file, members, files), nil
}
