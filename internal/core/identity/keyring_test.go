package identity_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/identity/identitytest"
)

func TestSeveralMasterKeys(t *testing.T) {
	t.Parallel()
	one, two := newMaster(t), newMaster(t)
	for _, text := range []string{
		two.Text() + "\n" + one.Text(), two.Text() + "," + one.Text(), "\r\n" + two.Text() + "\r\n\n  " + one.Text() + " \n", two.Text() + ", " + one.Text() + ",",
	} {
		both, err := identity.ParseMasterKey(text)
		if err != nil {
			t.Fatalf("ParseMasterKey of two keys: %v", err)
		}
		if want := two.Text() + "\n" + one.Text(); both.ID() != two.ID() || both.Text() != want {
			t.Errorf("two keys are %s, want the first, %s, to seal, and the text to be both", both.ID(), two.ID())
		}
		for _, m := range []identity.MasterKey{one, two, both} {
			sealed, err := m.Seal("x", []byte("y"))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := both.Open("x", sealed); err != nil || string(plain) != "y" {
				t.Errorf("Open of what %s sealed: %q, %v", m, plain, err)
			}
		}
		sealed, err := newMaster(t).Seal("x", []byte("y"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = both.Open("x", sealed)
		if !errors.Is(err, identity.ErrWrongMasterKey) || !strings.Contains(err.Error(), two.ID()+", "+one.ID()) {
			t.Errorf("Open of what a third key sealed: %v, want ErrWrongMasterKey and the keys there are", err)
		}
	}
	for _, text := range []string{one.Text() + "\n" + one.Text(), one.Text() + "\nhunter2", "\n\n", ","} {
		if _, err := identity.ParseMasterKey(text); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), one.Text()) {
			t.Errorf("ParseMasterKey of %d bytes that are no keys: %v", len(text), err)
		}
	}
}

// source is where a master key is read from, and counts how often.
type source struct {
	mu    sync.Mutex
	text  string
	err   error
	reads int
	time  time.Time
}

func (s *source) read() (identity.MasterKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.err != nil {
		return identity.MasterKey{}, s.err
	}
	return identity.ParseMasterKey(s.text)
}

func (s *source) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.time
}

func TestAMasterKeyIsReadAgain(t *testing.T) {
	t.Parallel()
	one, two, three := newMaster(t), newMaster(t), newMaster(t)
	src := &source{text: one.Text(), time: newClock().t}
	m, err := identity.ParseMasterKey(one.Text())
	if err != nil {
		t.Fatal(err)
	}
	m.Follow(src.read, src.now)
	opens := func(from identity.MasterKey, want bool) {
		t.Helper()
		sealed, err := from.Seal("x", []byte("y"))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := m.Open("x", sealed)
		if ok := err == nil && string(plain) == "y"; ok != want || (err != nil && !errors.Is(err, identity.ErrWrongMasterKey)) {
			t.Errorf("Open of what %s sealed: %q, %v; want it to work: %v", from, plain, err, want)
		}
	}
	reads := func(want int) {
		t.Helper()
		if src.reads != want {
			t.Errorf("the source was read %d times, want %d", src.reads, want)
		}
	}
	opens(one, true)
	reads(0)
	src.text = two.Text() + "\n" + one.Text()
	opens(two, true)
	opens(two, true)
	reads(1)
	if m.ID() != one.ID() {
		t.Errorf("a key that was read again seals under %s, want %s still", m.ID(), one.ID())
	}
	// A moment later the source is left alone, however many ask.
	for range 10 {
		opens(three, false)
	}
	reads(1)
	src.time = src.time.Add(time.Second)
	for range 10 {
		opens(three, false)
	}
	reads(2)
	// A key that was taken out goes on opening, and a source that fails does no harm.
	src.text = three.Text()
	src.time = src.time.Add(time.Second)
	opens(three, true)
	opens(one, true)
	opens(two, true)
	src.err = errors.New("no such file")
	src.time = src.time.Add(time.Second)
	opens(newMaster(t), false)
	opens(one, true)
	reads(4)
	if text := fmt.Sprintf("%v %+v %#v", m, m, struct{ k identity.MasterKey }{m}); strings.Contains(text, one.Text()) || strings.Contains(text, three.Text()) {
		t.Errorf("the keys show in %q", text)
	}
}

func TestWithoutAVaultNothingRotates(t *testing.T) {
	t.Parallel()
	d := newDirectory(&identitytest.Memory{}, newMaster(t), newClock(), nil)
	root, _, err := d.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.RotateMasterKey(t.Context(), root.Principal, ""); err == nil {
		t.Error("RotateMasterKey without a vault works")
	}
	if _, err := d.RotateTokenKey(t.Context(), root.Principal, false); err == nil {
		t.Error("RotateTokenKey without a vault works")
	}
	if more, err := d.FollowMasterKey(t.Context()); more || err != nil {
		t.Errorf("FollowMasterKey without a vault: more %v, error %v", more, err)
	}
}
