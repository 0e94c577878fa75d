package alarm

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

const (
	// maxPage and normalPage are CloudWatch's for both listings.
	maxPage    = 100
	normalPage = 50
	// readPage is how many alarms are read at once to be looked through.
	readPage = 500
)

// Filter says which alarms are wanted: all of what is set must hold.
type Filter struct {
	Names        []string
	Prefix       string // of the name
	ActionPrefix string // of an action
	State        State
}

func (f Filter) takes(a Alarm) bool {
	begins := func(action string) bool { return strings.HasPrefix(action, f.ActionPrefix) }
	return strings.HasPrefix(a.Name, f.Prefix) && (f.State == "" || a.State == f.State) &&
		(f.ActionPrefix == "" || slices.ContainsFunc(slices.Concat(a.OKActions, a.AlarmActions, a.InsufficientDataActions), begins))
}

// Describe lists alarms in order of name, a page (cloudwatch:DescribeAlarms). Names that no alarm has are passed over. Limit is 1 to 100, or
// 0 for 50.
func (s *Service) Describe(ctx context.Context, caller identity.Caller, f Filter, limit int, token string) (registry.Page[Alarm], error) {
	var page registry.Page[Alarm]
	if err := s.may(ctx, caller, policy.DescribeAlarms); err != nil {
		return page, err
	}
	limit, err := pageLimit(limit)
	if err != nil {
		return page, err
	}
	for parameter, value := range map[string]string{"AlarmNamePrefix": f.Prefix, "ActionPrefix": f.ActionPrefix} {
		if err := checkText(parameter, value, 0, maxActionText); err != nil {
			return page, err
		}
	}
	if f.State != "" && !slices.Contains([]State{OK, Alarming, InsufficientData}, f.State) {
		return page, bad("StateValue", "Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]")
	}
	if len(f.Names) > 0 {
		return s.named(ctx, f, limit, token)
	}
	after, err := readToken(alarmListing, token)
	if err != nil {
		return page, err
	}
	err = s.each(ctx, max(after, before(f.Prefix)), func(a Alarm) bool {
		if !strings.HasPrefix(a.Name, f.Prefix) && a.Name > f.Prefix {
			return false // beyond all that begin so
		}
		if !f.takes(a) {
			return true
		}
		if len(page.Items) == limit {
			page.Next = writeToken(alarmListing, page.Items[limit-1].Name)
			return false
		}
		page.Items = append(page.Items, a)
		return true
	})
	return page, err
}

// before gives a name that comes before all that begin with a prefix, and after nearly all others that do.
func before(prefix string) string {
	_, last := utf8.DecodeLastRuneInString(prefix)
	return prefix[:len(prefix)-last]
}

// named looks for alarms by their names.
func (s *Service) named(ctx context.Context, f Filter, limit int, token string) (registry.Page[Alarm], error) {
	var page registry.Page[Alarm]
	if err := checkNames("AlarmNames", f.Names); err != nil {
		return page, err
	}
	if f.Prefix != "" {
		return page, bad("AlarmNamePrefix", "Member must not be given together with AlarmNames")
	}
	after, err := readToken(alarmListing, token)
	if err != nil {
		return page, err
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(f.Names))) {
		if name <= after {
			continue
		}
		a, err := s.rows.Alarm(ctx, name)
		switch {
		case errors.Is(err, registry.ErrNoRow):
			continue
		case err != nil:
			return page, err
		case !f.takes(a):
			continue
		case len(page.Items) == limit:
			page.Next = writeToken(alarmListing, page.Items[limit-1].Name)
			return page, nil
		}
		a.ARN = s.arn(name)
		page.Items = append(page.Items, a)
	}
	return page, nil
}

// each shows alarms in order of name until take has enough.
func (s *Service) each(ctx context.Context, after string, take func(Alarm) bool) error {
	for {
		alarms, err := s.rows.Alarms(ctx, after, readPage)
		if err != nil {
			return err
		}
		for _, a := range alarms {
			a.ARN = s.arn(a.Name)
			if !take(a) {
				return nil
			}
			after = a.Name
		}
		if len(alarms) < readPage {
			return nil
		}
	}
}

// ForMetric lists the alarms on a metric; statistic, unit and period count where they are given (cloudwatch:DescribeAlarmsForMetric).
func (s *Service) ForMetric(ctx context.Context, caller identity.Caller, m usage.Metric, statistic, unit string, period int) ([]Alarm, error) {
	if err := s.may(ctx, caller, policy.DescribeAlarmsForMetric); err != nil {
		return nil, err
	}
	if err := checkMetric("", m); err != nil {
		return nil, err
	}
	var found []Alarm
	err := s.each(ctx, "", func(a Alarm) bool {
		same := a.Metric.Namespace == m.Namespace && a.Metric.Name == m.Name && slices.Equal(a.Metric.Dimensions, m.Dimensions)
		if same && (statistic == "" || statistic == a.Statistic) && (unit == "" || unit == a.Unit) && (period == 0 || period == a.Period) {
			found = append(found, a)
		}
		return true
	})
	return found, err
}

// HistoryFilter says which lines of the history are wanted.
type HistoryFilter struct {
	Name     string // of an alarm, that need not be there any more; empty: all
	Kind     Kind   // empty: all
	From, To time.Time
	Rising   bool // oldest first
}

// History lists what happened to alarms, a page, newest first unless asked otherwise (cloudwatch:DescribeAlarmHistory).
func (s *Service) History(ctx context.Context, caller identity.Caller, f HistoryFilter, limit int, token string) (registry.Page[Entry], error) {
	var page registry.Page[Entry]
	var names []string
	if f.Name != "" {
		names = append(names, f.Name)
	}
	if err := s.may(ctx, caller, policy.DescribeAlarmHistory, names...); err != nil {
		return page, err
	}
	limit, err := pageLimit(limit)
	if err != nil {
		return page, err
	}
	if err := checkText("AlarmName", f.Name, 0, maxName); err != nil {
		return page, err
	}
	switch {
	case f.Kind != "" && f.Kind != ConfigurationUpdate && f.Kind != StateUpdate && f.Kind != Action:
		return page, bad("HistoryItemType", "Member must satisfy enum value set: [ConfigurationUpdate, StateUpdate, Action]")
	case !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To):
		return page, bad("StartDate", "Member must be before EndDate")
	}
	at, err := readToken(historyListing, token)
	if err != nil {
		return page, err
	}
	beyond := int64(0)
	if at != "" {
		if beyond, err = strconv.ParseInt(at, 10, 64); err != nil || beyond < 1 {
			return page, badToken()
		}
	}
	page.Items, err = s.rows.History(ctx, HistoryRows{
		Name: f.Name, Kind: f.Kind, From: f.From, To: f.To, Rising: f.Rising, Beyond: beyond, Limit: limit + 1,
	})
	if err == nil && len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = writeToken(historyListing, strconv.FormatInt(page.Items[limit-1].ID, 10))
	}
	return page, err
}

func pageLimit(asked int) (int, error) {
	switch {
	case asked == 0:
		return normalPage, nil
	case asked < 1 || asked > maxPage:
		return 0, bad("MaxRecords", "Member must have value from 1 to %d", maxPage)
	}
	return asked, nil
}

// The listings that tokens are of. A token is a place, no right.
const (
	alarmListing   = "alarms:"
	historyListing = "history:"
)

func writeToken(listing, place string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(listing + place))
}

func readToken(listing, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	place, ok := strings.CutPrefix(string(b), listing)
	if err != nil || !ok || checkText("", place, 1, maxName) != nil {
		return "", badToken()
	}
	return place, nil
}

func badToken() error {
	return fault.New(fault.PageTokenInvalid, "NextToken must be a token that the same listing returned")
}
