package events

import (
	"net/http"
	"time"
)

// receiversAnswer says how far receivers are. Failures and reasons have words of the receivers, strangers to whoever shows them.
type receiversAnswer struct {
	Receivers []receiver `json:"receivers"`
	Oldest    int64      `json:"oldest"`
	Newest    int64      `json:"newest"`
}

type receiver struct {
	Name         string     `json:"name"`
	Number       int64      `json:"number"` // it has had everything up to there, but for what is late, missed or set aside
	Behind       int64      `json:"behind"` // how many events of the feed there are after it
	Sent         int64      `json:"sent"`
	Missed       int64      `json:"missed"`
	SentAt       *time.Time `json:"sent-at,omitempty"`
	PausedUntil  *time.Time `json:"paused-until,omitempty"`
	FailedAt     *time.Time `json:"failed-at,omitempty"`
	Failure      string     `json:"failure,omitempty"`
	LateCount    int64      `json:"late-repositories"`
	Late         []late     `json:"late"`
	SetAsideSize int64      `json:"set-aside-events"`
	SetAside     []aside    `json:"set-aside"`
}

type late struct {
	Repository string    `json:"repository-name"`
	Number     int64     `json:"number"`
	Attempts   int       `json:"attempts"`
	DueAt      time.Time `json:"due-at"`
	Failure    string    `json:"failure"`
}

type aside struct {
	Number     int64     `json:"number"`
	Repository string    `json:"repository-name"`
	At         time.Time `json:"at"`
	Reason     string    `json:"reason"`
}

func (f *Face) receivers(w http.ResponseWriter, r *http.Request) {
	caller, err := f.begin(r, "DescribeEventReceivers")
	if err != nil {
		f.fail(w, r, err)
		return
	}
	states, head, err := f.Feed.Receivers(r.Context(), caller)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	answer := receiversAnswer{Receivers: []receiver{}, Oldest: head.Forgotten, Newest: head.Number}
	for _, s := range states {
		one := receiver{
			Name: s.Name, Number: s.Number, Behind: head.Number - s.Number, Sent: s.Sent, Missed: s.Missed, SentAt: when(s.SentAt),
			PausedUntil: when(s.PausedUntil), FailedAt: when(s.FailedAt), Failure: s.Failure, LateCount: s.LateCount, Late: []late{},
			SetAsideSize: s.Aside, SetAside: []aside{},
		}
		for _, l := range s.Late {
			one.Late = append(one.Late, late(l))
		}
		for _, a := range s.SetAside {
			one.SetAside = append(one.SetAside, aside(a))
		}
		answer.Receivers = append(answer.Receivers, one)
	}
	f.answer(w, http.StatusOK, answer)
}

// when is a time that there may not be.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
