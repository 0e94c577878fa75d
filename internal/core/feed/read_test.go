package feed_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const account = "123456789012"

var root = identity.Caller{ARN: "arn:aws:iam::" + account + ":root", Account: account, Root: true}

func newFeed(w *world) *feed.Feed {
	r := registry.New(registry.Config{Store: w.db, Account: account, Region: "us-east-1", Now: w.clock})
	return feed.New(feed.Config{Registry: r, Store: w.db.Feed(), Deliveries: w.db.Feed(), Now: w.clock, Keep: 24 * time.Hour, KeepMost: 6})
}

func numbers(p feed.Page) string {
	var all []int64
	for _, e := range p.Entries {
		all = append(all, e.Number)
	}
	return fmt.Sprint(all, " ", p.Next)
}

func TestRead(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newWorld(t, db)
		f := newFeed(w)
		read := func(q feed.Query) string {
			p, err := f.Read(t.Context(), root, q)
			if err != nil {
				return err.Error()
			}
			return numbers(p)
		}
		if got := read(feed.Query{After: feed.Oldest}); got != "[] 0" {
			t.Errorf("an empty feed gives %s", got)
		}
		w.push("aa", "bb", "aa", "cc", "aa", "bb", "aa", "aa")
		if more, err := f.ForgetOnce(t.Context()); more || err != nil { // 3 to 8 stay
			t.Fatal(more, err)
		}
		const gone = "the cursor is not in the feed: what is kept is after 2, up to 8"
		for i, test := range []struct {
			query feed.Query
			want  string
		}{
			{feed.Query{After: feed.Oldest}, "[3 4 5 6 7 8] 8"},
			{feed.Query{After: -2}, "[7 8] 8"},
			{feed.Query{After: -100}, "[3 4 5 6 7 8] 8"},
			{feed.Query{After: 2, Limit: 2}, "[3 4] 4"},
			{feed.Query{After: 8}, "[] 8"},
			{feed.Query{After: 9}, gone},
			{feed.Query{After: 1}, gone},
			{feed.Query{After: 0}, gone},
			{feed.Query{After: 2, Repository: "bb"}, "[6] 8"},
			{feed.Query{After: 2, Repository: "aa", Limit: 2}, "[3 5] 5"},
			{feed.Query{After: 2, Kinds: []event.Kind{event.ImageDeleted}}, "[] 8"},
			{feed.Query{After: 2, Kinds: []event.Kind{event.ImageDeleted, event.ImagePushed}, Limit: 1}, "[3] 3"},
		} {
			if got := read(test.query); got != test.want {
				t.Errorf("%d: %+v gives %s, want %s", i, test.query, got, test.want)
			}
		}
		if _, err := f.Read(t.Context(), root, feed.Query{Limit: feed.MaxLimit + 1, After: 8}); !errors.Is(err, fault.InvalidParameter) {
			t.Errorf("a limit too high: %v", err)
		}
	})
}

// TestWait has a reader that waits until another goroutine has put something into the feed and looked at it.
func TestWait(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newWorld(t, db)
		f := newFeed(w)
		if p, err := f.Wait(t.Context(), root, feed.Query{}, time.Millisecond); err != nil || numbers(p) != "[] 0" {
			t.Errorf("where nothing comes: %s, %v", numbers(p), err)
		}
		answer := make(chan string, 1)
		go func() {
			p, err := f.Wait(t.Context(), root, feed.Query{Repository: "bb"}, time.Minute)
			answer <- fmt.Sprint(numbers(p), " ", err)
		}()
		for _, name := range []string{"aa", "aa", "bb"} {
			w.push(name)
			if _, err := f.LookOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-answer; got != "[3] 3 <nil>" {
			t.Errorf("the reader got %s", got)
		}
	})
}

// TestNobodyIsAllowedNothing calls every operation that takes a caller as one who may do nothing.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, metadbtest.New(t))
	f := newFeed(w)
	w.push("aa")
	nobody := identity.Caller{ARN: "arn:aws:iam::" + account + ":user/nobody", Account: account}
	v, asked := reflect.ValueOf(f), 0
	for i := range v.NumMethod() {
		method := v.Type().Method(i)
		if method.Type.NumIn() < 3 || method.Type.In(2) != reflect.TypeFor[identity.Caller]() {
			continue
		}
		in := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(nobody)}
		for n := 3; n < method.Type.NumIn(); n++ {
			in = append(in, reflect.Zero(method.Type.In(n)))
		}
		out := v.Method(i).Call(in)
		err, _ := reflect.TypeAssert[error](out[len(out)-1])
		if !errors.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", method.Name, err)
		}
		asked++
	}
	if asked < 3 {
		t.Errorf("%d operations were asked", asked)
	}
}
