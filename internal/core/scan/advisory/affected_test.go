package advisory_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// sameAffected reads text by DecodeAffected and by json.Unmarshal.
func sameAffected(t *testing.T, text []byte) {
	t.Helper()
	var want advisory.Affected
	wantErr := json.Unmarshal(text, &want)
	got, err := advisory.DecodeAffected(text)
	if (err == nil) != (wantErr == nil) || err == nil && !cmp.Equal(want, got) {
		t.Errorf("%s is %+v, %v; want %+v, %v", text, got, err, want, wantErr)
	}
}

func affectedTexts() []string {
	return []string{
		`{}`, ``, `{`, `{"v":["1","2"],"r":[{"e":[{"i":"0"},{"f":"1"}]},{"e":[{"i":"2"},{"l":"3"}]}],"w":"high"}`, `{"v":["1"],"v":["2"]}`, `{"v":null}`,
		`{"v":[]}`, `{"r":[{"e":[{"i":"0","m":"*"}]}]}`, `{"c":[{"v":"3.1","t":"x","s":9.8}],"w":"x"}`, `{"w":"\u00e9"}`, `{"w":"é"}`, `{"v":["1"]}x`, ` {}`, `{"x":"1"}`,
		`{"v":["1",]}`, `{,}`, `{"W":"x"}`, "{\"w\":\"a\x01\"}", `{"r":[{}]}`, `{"r":[{"e":[{}]}]}`, `{"v":"1"}`, `{"w":["1"]}`, `{"v":["1"`, `{"v"}`, `[]`,
	}
}

// TestDecodeAffected reads texts of all kinds, and all of the sample.
func TestDecodeAffected(t *testing.T) {
	t.Parallel()
	for _, text := range affectedTexts() {
		sameAffected(t, []byte(text))
	}
	dir := sample(t)
	err := advisory.Dir{FS: os.DirFS(dir), Name: dir}.Read(t.Context(), nil, func(feed advisory.Feed) error {
		for a, err := range feed.Entries {
			if err != nil {
				continue // the source of vectors has some that are none
			}
			for _, f := range a.Affected {
				text, err := json.Marshal(f)
				if err != nil {
					return err
				}
				sameAffected(t, text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzDecodeAffected(f *testing.F) {
	for _, text := range affectedTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(sameAffected)
}
