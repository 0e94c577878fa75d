package alarm_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// samples reads points as in testdata/missing.txt, of a threshold of 10 that is not to be passed.
func samples(words []string) []alarm.Sample {
	var all []alarm.Sample
	for i, w := range words {
		s := alarm.Sample{At: noon.Add(time.Duration(i-len(words)) * time.Minute), Count: 1}
		switch w {
		case "X":
			s.Value = 11
		case "-":
			s.Missing, s.Count = true, 0
		}
		all = append(all, s)
	}
	return all
}

// TestMissingData goes through CloudWatch's own tables, and more of the kind.
func TestMissingData(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/missing.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cases++
		words := strings.Fields(line)
		m, _ := strconv.Atoi(words[0])
		of, _ := strconv.Atoi(words[1])
		end := len(words) - 5
		filled, err := strconv.Atoi(words[end])
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		for i, treat := range []string{alarm.Missing, alarm.Ignore, alarm.Breaching, alarm.NotBreaching} {
			for _, before := range []alarm.State{alarm.OK, alarm.Alarming, alarm.InsufficientData} {
				r := alarm.Rule{Periods: of, Needed: m, Operator: "GreaterThanThreshold", Threshold: 10, Missing: treat}
				got := alarm.Judge(r, samples(words[2:end]), before)
				want := map[string]alarm.State{"I": alarm.InsufficientData, "=": before}[words[end+1+i]]
				if want == "" {
					want = alarm.State(words[end+1+i])
				}
				if got.State != want || got.Filled != filled {
					t.Errorf("line %d: %s\n%s from %s: %s with %d filled, want %s with %d", n+1, line, treat, before, got.State, got.Filled, want, filled)
				}
			}
		}
	}
	if cases < 20 {
		t.Errorf("%d cases were read, want all", cases)
	}
}

// TestJudgeHolds asks of any points what must hold of all.
func TestJudgeHolds(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	states := []alarm.State{alarm.OK, alarm.Alarming, alarm.InsufficientData}
	for range 20_000 {
		n := 1 + rng.IntN(6)
		m := 1 + rng.IntN(n)
		words := make([]string, n+2)
		for i := range words {
			words[i] = []string{"0", "X", "-"}[rng.IntN(3)]
		}
		before := states[rng.IntN(3)]
		judge := func(words []string, treat string) alarm.Verdict {
			return alarm.Judge(alarm.Rule{Periods: n, Needed: m, Operator: "GreaterThanThreshold", Threshold: 10, Missing: treat}, samples(words), before)
		}
		missing, ignore, breaching, fine := judge(words, alarm.Missing), judge(words, alarm.Ignore), judge(words, alarm.Breaching), judge(words, alarm.NotBreaching)
		about := func(what string) { t.Errorf("%d of %d of %v from %s: %s", m, n, words, before, what) }
		if len(missing.Seen)+missing.Filled != n {
			about("points that count and filled ones are not N")
		}
		if missing.Filled == 0 && (missing.State != breaching.State || missing.State != fine.State || missing.State != ignore.State) {
			about("nothing is filled, and the treatments differ")
		}
		if fine.State == alarm.Alarming && (missing.State != alarm.Alarming || ignore.State != alarm.Alarming || breaching.State != alarm.Alarming) {
			about("an alarm without help of missing points is none with it")
		}
		if breaching.State == alarm.OK && (fine.State != alarm.OK || missing.State != alarm.OK || ignore.State != alarm.OK) {
			about("fine though missing points were bad, and not fine otherwise")
		}
		if (missing.State == alarm.InsufficientData) != (len(missing.Seen) == 0) && !missing.Kept {
			about("INSUFFICIENT_DATA is for nothing at all")
		}
		// A point that gets worse makes nothing better.
		for i, w := range words {
			if w == "0" {
				worse := append(append(append([]string{}, words[:i]...), "X"), words[i+1:]...)
				if breaching.State == alarm.Alarming && judge(worse, alarm.Breaching).State != alarm.Alarming || fine.State == alarm.Alarming && judge(worse, alarm.NotBreaching).State != alarm.Alarming {
					about("a worse point at " + strconv.Itoa(i) + " makes it better")
				}
			}
		}
	}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	for operator, want := range map[string]string{
		"GreaterThanThreshold": "OK OK ALARM", "GreaterThanOrEqualToThreshold": "OK ALARM ALARM",
		"LessThanThreshold": "ALARM OK OK", "LessThanOrEqualToThreshold": "ALARM ALARM OK",
	} {
		var got []string
		for _, value := range []float64{9, 10, 11} {
			r := alarm.Rule{Periods: 1, Needed: 1, Operator: operator, Threshold: 10, Missing: alarm.Missing}
			got = append(got, string(alarm.Judge(r, []alarm.Sample{{Value: value, Count: 1}}, alarm.OK).State))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s of 9, 10, 11 and 10: %v, want %s", operator, got, want)
		}
	}
}
