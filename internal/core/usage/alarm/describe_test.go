package alarm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for _, name := range []string{"b2", "a1", "b1", "ü1", "b3", "c"} {
			c := basic(name)
			if name == "b3" {
				c.AlarmActions = nil
				c.Metric = usage.NewMetric("Berth", "PushCount")
			}
			b.put(c)
		}
		if err := b.alarms.SetState(t.Context(), root, "b2", alarm.Alarming, "", ""); err != nil {
			t.Fatal(err)
		}
		names := func(f alarm.Filter, limit int) string {
			t.Helper()
			var all []string
			token := ""
			for {
				page, err := b.alarms.Describe(t.Context(), root, f, limit, token)
				if err != nil {
					t.Fatal(err)
				}
				var part []string
				for _, a := range page.Items {
					part = append(part, a.Name)
				}
				all = append(all, strings.Join(part, " "))
				if token = page.Next; token == "" {
					return strings.Join(all, "|")
				}
			}
		}
		for want, f := range map[string]alarm.Filter{
			"a1 b1|b2 b3|c ü1": {}, "b1 b2|b3": {Prefix: "b"}, "ü1": {Prefix: "ü"}, "b2": {State: alarm.Alarming}, "b1 b2|c": {Names: []string{"c", "b2", "none", "b1", "b1"}},
			"a1 b1|b2 c|ü1": {ActionPrefix: topic}, "": {Prefix: "zz"},
		} {
			if got := names(f, 2); got != want {
				t.Errorf("%+v: %s, want %s", f, got, want)
			}
		}
		found, err := b.alarms.ForMetric(t.Context(), root, usage.NewMetric("Berth", "PushCount"), "Sum", "", 60)
		if err != nil || len(found) != 1 || found[0].Name != "b3" {
			t.Errorf("ForMetric: %+v, %v", found, err)
		}
		for _, token := range []string{"x", "YWxhcm1zOg", "aGlzdG9yeTox"} {
			_, err := b.alarms.Describe(t.Context(), root, alarm.Filter{}, 0, token)
			b.wantFault("the token "+token, err, fault.PageTokenInvalid)
		}
		_, err = b.alarms.Describe(t.Context(), root, alarm.Filter{}, 101, "")
		b.wantFault("a page of 101", err, fault.InvalidParameter)
	})
}

func TestDeleteAndHistory(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(basic("one"))
		b.put(basic("two"))
		b.now = b.now.Add(time.Hour)
		b.put(basic("one"))
		b.wantFault("with one that is not there", b.alarms.Delete(t.Context(), root, []string{"one", "three"}), fault.EntityNotFound)
		b.alarm("one") // is still there
		if err := b.alarms.Delete(t.Context(), root, []string{"one", "one"}); err != nil {
			t.Fatal(err)
		}
		want := []string{`ConfigurationUpdate: Alarm "one" created`, `ConfigurationUpdate: Alarm "one" updated`, `ConfigurationUpdate: Alarm "one" deleted`}
		if diff := cmp.Diff(want, b.history("one")); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		var ids []int64
		token := ""
		for range 4 {
			page, err := b.alarms.History(t.Context(), root, alarm.HistoryFilter{Kind: alarm.ConfigurationUpdate}, 1, token)
			if err != nil || len(page.Items) != 1 {
				t.Fatalf("%+v, %v", page, err)
			}
			ids, token = append(ids, page.Items[0].ID), page.Next
		}
		if !slices.IsSortedFunc(ids, func(a, b int64) int { return int(b - a) }) || token != "" {
			t.Errorf("pages: %v, then %q", ids, token)
		}
		page, err := b.alarms.History(t.Context(), root, alarm.HistoryFilter{Name: "one", From: b.now.Add(-time.Minute), To: b.now.Add(time.Minute)}, 0, "")
		if err != nil || len(page.Items) != 2 {
			t.Errorf("of the last hour: %+v, %v", page, err)
		}
		_, err = b.alarms.History(t.Context(), root, alarm.HistoryFilter{From: b.now, To: b.now.Add(-time.Hour)}, 0, "")
		b.wantFault("times reversed", err, fault.InvalidParameter)
		b.now = b.now.Add(30*24*time.Hour - 30*time.Minute)
		if more, err := b.alarms.PruneOnce(t.Context()); more || err != nil {
			t.Fatalf("PruneOnce: %v, %v", more, err)
		}
		if left := b.history(""); len(left) != 2 {
			t.Errorf("after a month: %v", left)
		}
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(basic("one"), alarm.Tag{Key: "b", Value: "1"}, alarm.Tag{Key: "a", Value: ""})
		b.put(basic("one"), alarm.Tag{Key: "c", Value: "an update's are passed over"})
		arn := b.alarm("one").ARN
		if err := b.alarms.Tag(t.Context(), root, arn, []alarm.Tag{{Key: "b", Value: "2"}, {Key: "d", Value: "4"}}); err != nil {
			t.Fatal(err)
		}
		if err := b.alarms.Untag(t.Context(), root, arn, []string{"a", "none"}); err != nil {
			t.Fatal(err)
		}
		got, err := b.alarms.Tags(t.Context(), root, arn)
		if diff := cmp.Diff([]alarm.Tag{{Key: "b", Value: "2"}, {Key: "d", Value: "4"}}, got); diff != "" || err != nil {
			t.Errorf("tags: %v (-want +got):\n%s", err, diff)
		}
		_, err = b.alarms.Tags(t.Context(), root, arn+"x")
		b.wantFault("of none", err, fault.EntityNotFound)
		_, err = b.alarms.Tags(t.Context(), root, "arn:aws:ecr:us-east-1:123456789012:repository/a")
		b.wantFault("of what is no alarm", err, fault.InvalidParameter)
		for _, tags := range [][]alarm.Tag{{{Key: "aws:x"}}, {{Key: ""}}, {{Key: "a"}, {Key: "a"}}, {{Key: strings.Repeat("a", 129)}}, {{Key: "a", Value: strings.Repeat("a", 257)}}} {
			b.wantFault(fmt.Sprintf("%.40v", tags), b.alarms.Tag(t.Context(), root, arn, tags), fault.InvalidParameter)
		}
		var fifty []alarm.Tag
		for i := range 50 {
			fifty = append(fifty, alarm.Tag{Key: fmt.Sprint(i)})
		}
		b.wantFault("more than fifty", b.alarms.Tag(t.Context(), root, arn, fifty), fault.InvalidParameter)
	})
}
