package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/notify"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const topic = "arn:aws:sns:us-east-1:123456789012:alerts"

var root = identity.Caller{Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", Root: true}

// target takes messages, or gives an error.
type target struct {
	got []notify.Message
	err error
}

func (t *target) Send(_ context.Context, m notify.Message) error {
	t.got = append(t.got, m)
	return t.err
}

type bench struct {
	t        *testing.T
	db       *metadb.DB
	s        *notify.Service
	config   notify.Config
	now      time.Time
	ops, lab *target
	rung     []string
	log      strings.Builder
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		b := &bench{t: t, db: db, now: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC), ops: &target{}, lab: &target{}}
		b.config = notify.Config{
			May: may, Rows: db.Notices(), Now: func() time.Time { return b.now }, Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
			Targets: []notify.Target{{Name: "ops", Kind: "webhook", Topics: []string{topic}, Sender: b.ops}, {Name: "lab", Kind: "slack", Sender: b.lab}},
			Notify:  func(name string) { b.rung = append(b.rung, name) },
		}
		b.s = notify.New(b.config)
		test(t, b)
	})
}

func may(_ context.Context, c identity.Caller, a policy.Action, _ string) error {
	if c.Root {
		return nil
	}
	return fault.New(fault.AccessDenied, "%s", policy.Denied(c.ARN, a, policy.AnyResource))
}

func (b *bench) tell(id int64, targets ...string) {
	b.t.Helper()
	n := &event.Notice{Targets: targets, Subject: fmt.Sprintf("notice %d", id), Text: "text", Detail: `{"n":1}`}
	if err := b.s.Handle(b.t.Context(), event.Event{ID: id, Kind: event.Noticed, At: b.now, Notice: n}); err != nil {
		b.t.Fatalf("Handle: %v", err)
	}
}

func (b *bench) deliver(name string) {
	b.t.Helper()
	if more, err := b.s.DeliverOnce(b.t.Context(), name); err != nil || more {
		b.t.Fatalf("DeliverOnce(%s): %v, %v", name, more, err)
	}
}

// outcomes lists deliveries, the oldest first.
func (b *bench) outcomes() []string {
	b.t.Helper()
	page, err := b.s.Deliveries(b.t.Context(), root, notify.DeliveryFilter{}, 0, "")
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, d := range page.Items {
		all = append(all, fmt.Sprintf("%d to %s: %s after %d%s", d.EventID, d.Target, d.State, d.Attempts, strings.TrimRight(": "+d.Problem, ": ")))
	}
	slices.Reverse(all)
	return all
}

func TestANoticeGoesToEachTargetOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.tell(1, topic, "ops", "lab", "nobody")
		b.tell(1, topic, "lab") // the outbox has it twice
		if err := b.s.Handle(t.Context(), event.Event{ID: 2, Kind: event.ImagePushed}); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(b.rung, "ops") || !slices.Contains(b.rung, "lab") {
			t.Errorf("rung: %v", b.rung)
		}
		for range 2 {
			b.deliver("ops")
			b.deliver("lab")
		}
		want := notify.Message{ID: "notice-1-ops", At: b.now, Subject: "notice 1", Text: "text", Detail: `{"n":1}`}
		if diff := cmp.Diff([]notify.Message{want}, b.ops.got); diff != "" || len(b.lab.got) != 1 {
			t.Errorf("lab got %d, ops (-want +got):\n%s", len(b.lab.got), diff)
		}
		wantRows := []string{
			"1 to ops: delivered after 1", "1 to lab: delivered after 1",
			"1 to nobody: failed after 0: the configuration's section targets has neither a target nor a topic of that name",
		}
		if diff := cmp.Diff(wantRows, b.outcomes()); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
	})
}

// TestADeadTarget is tried again and given up, and delays nobody.
func TestADeadTarget(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.ops.err = errors.New("connection refused")
		began := b.now
		b.tell(1, "ops", "lab")
		b.deliver("ops")
		b.deliver("lab")
		if len(b.lab.got) != 1 {
			t.Fatal("a dead target delays another")
		}
		for b.now.Sub(began) < 25*time.Hour {
			b.now = b.now.Add(time.Minute)
			b.deliver("ops")
		}
		page, err := b.s.Deliveries(t.Context(), root, notify.DeliveryFilter{Target: "ops", State: notify.Failed}, 10, "")
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("given up: %+v, %v", page, err)
		}
		d := page.Items[0]
		if kept := d.EndedAt.Sub(began); kept < 23*time.Hour+30*time.Minute || kept > 24*time.Hour || d.Problem != "connection refused" || d.Attempts != len(b.ops.got) {
			t.Errorf("given up after %v and %d attempts (%d messages): %q", kept, d.Attempts, len(b.ops.got), d.Problem)
		}
		if d.Attempts < 90 || d.Attempts > 120 {
			t.Errorf("%d attempts in a day, want about one each quarter of an hour", d.Attempts)
		}
		for i, m := range b.ops.got {
			if m.ID != "notice-1-ops" {
				t.Fatalf("attempt %d has the id %s", i, m.ID)
			}
		}
		if !strings.Contains(b.log.String(), "a notice is given up") {
			t.Errorf("the log says nothing of it:\n%.300s", b.log.String())
		}
	})
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.ops.err = event.Refused{Reason: "410 Gone"}
		b.tell(1, "ops")
		b.deliver("ops")
		b.lab.err = event.Later{After: 5 * time.Minute, Reason: "429"}
		b.tell(2, "lab")
		b.deliver("lab")
		b.now = b.now.Add(4 * time.Minute)
		b.deliver("lab")
		if len(b.lab.got) != 1 {
			t.Errorf("a target that asked for five minutes was sent %d messages in four", len(b.lab.got))
		}
		b.lab.err = nil
		b.now = b.now.Add(time.Minute)
		b.deliver("lab")
		want := []string{"1 to ops: failed after 1: 410 Gone", "2 to lab: delivered after 2"}
		if diff := cmp.Diff(want, b.outcomes()); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
	})
}

// TestClaims: a process that dies while it sends, two replicas, and a clock that is put back.
func TestClaims(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.tell(1, "ops")
		again := b.now.Add(2 * time.Minute)
		d, found, err := b.db.Notices().ClaimDelivery(t.Context(), "ops", b.now, again, b.now.Add(time.Hour))
		if err != nil || !found || d.EventID != 1 {
			t.Fatalf("ClaimDelivery: %+v, %v, %v", d, found, err)
		}
		b.deliver("ops") // another replica
		if len(b.ops.got) != 0 {
			t.Error("two replicas have one delivery")
		}
		b.now = again
		b.deliver("ops")
		if len(b.ops.got) != 1 {
			t.Error("a claim does not lapse")
		}
		b.ops.err = errors.New("no")
		b.tell(2, "ops")
		b.deliver("ops")
		b.now, b.ops.err = b.now.Add(-100*time.Hour), nil
		b.deliver("ops")
		if len(b.ops.got) != 3 {
			t.Errorf("after the clock was put back %d messages came, want 3", len(b.ops.got))
		}
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.tell(1, "ops")
		b.tell(2, "lab")
		b.deliver("lab")
		without := b.config
		without.Targets = without.Targets[1:]
		s := notify.New(without)
		b.now = b.now.Add(25 * time.Hour)
		if more, err := s.SweepOnce(t.Context()); more || err != nil {
			t.Fatalf("SweepOnce: %v, %v", more, err)
		}
		want := []string{
			"1 to ops: failed after 0: the configuration's section targets has neither a target nor a topic of that name", "2 to lab: delivered after 1",
		}
		if diff := cmp.Diff(want, b.outcomes()); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
		b.now = b.now.Add(30*24*time.Hour + time.Minute)
		if _, err := s.SweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := b.outcomes(); len(left) != 0 {
			t.Errorf("after a month there is %v", left)
		}
	})
}

func TestTestAndPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		tried, err := b.s.Test(t.Context(), root, topic)
		if err != nil || tried.Problem != "" || tried.Target.Name != "ops" || len(b.ops.got) != 1 || !b.ops.got[0].Test {
			t.Errorf("Test: %+v, %v, %+v", tried, err, b.ops.got)
		}
		b.ops.err = errors.New("no such host")
		if tried, err = b.s.Test(t.Context(), root, "ops"); err != nil || tried.Problem != "no such host" {
			t.Errorf("Test of a dead one: %+v, %v", tried, err)
		}
		if _, err := b.s.Test(t.Context(), root, "nobody"); !errors.Is(err, fault.EntityNotFound) {
			t.Errorf("Test of none: %v", err)
		}
		for i := range int64(5) {
			b.tell(i+1, "lab")
		}
		var ids []int64
		token := ""
		for range 3 {
			page, err := b.s.Deliveries(t.Context(), root, notify.DeliveryFilter{Target: "lab", State: notify.Pending}, 2, token)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.Items {
				ids = append(ids, d.EventID)
			}
			token = page.Next
		}
		if !slices.Equal(ids, []int64{5, 4, 3, 2, 1}) || token != "" {
			t.Errorf("pages have %v, then %q", ids, token)
		}
		for _, bad := range []string{"x", "-1", "0"} {
			if _, err := b.s.Deliveries(t.Context(), root, notify.DeliveryFilter{}, 0, bad); !errors.Is(err, fault.PageTokenInvalid) {
				t.Errorf("token %q: %v", bad, err)
			}
		}
		if _, err := b.s.Deliveries(t.Context(), root, notify.DeliveryFilter{State: "lost"}, 0, ""); !errors.Is(err, fault.InvalidParameter) {
			t.Errorf("an unknown state: %v", err)
		}
	})
}

// TestNobodyIsAllowedNothing calls every operation that takes a caller as one who may do nothing.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		v, asked := reflect.ValueOf(b.s), 0
		for i := range v.NumMethod() {
			m := v.Type().Method(i)
			if m.Type.NumIn() < 3 || m.Type.In(2) != reflect.TypeFor[identity.Caller]() {
				continue
			}
			asked++
			args := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(identity.Caller{ARN: "arn:aws:iam::123456789012:user/nobody"})}
			for n := 3; n < m.Type.NumIn(); n++ {
				args = append(args, reflect.Zero(m.Type.In(n)))
			}
			out := v.Method(i).Call(args)
			if err, _ := reflect.TypeAssert[error](out[len(out)-1]); !errors.Is(err, fault.AccessDenied) {
				t.Errorf("%s by nobody: %v", m.Name, err)
			}
		}
		if asked != 3 {
			t.Errorf("%d operations were asked for", asked)
		}
	})
}
