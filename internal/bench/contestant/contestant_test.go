package contestant_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/bench/contestant"
)

func TestParseEnv(t *testing.T) {
	t.Parallel()
	got := contestant.ParseEnv([]byte("# for eval\nexport AWS_REGION=us-east-1\n  export A='x=y'\nB=\"z\";\n\nnonsense\n"))
	want := map[string]string{"AWS_REGION": "us-east-1", "A": "x=y", "B": "z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseEnv (-want +got):\n%s", diff)
	}
}
