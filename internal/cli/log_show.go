package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// logged is what of a CloudTrail record is shown as text.
type logged struct {
	EventID     string    `json:"eventID"`
	EventTime   time.Time `json:"eventTime"`
	EventName   string    `json:"eventName"`
	EventSource string    `json:"eventSource"`
	Address     string    `json:"sourceIPAddress"`
	ErrorCode   string    `json:"errorCode"`
	Identity    struct {
		Type      string `json:"type"`
		ARN       string `json:"arn"`
		InvokedBy string `json:"invokedBy"`
	} `json:"userIdentity"`
	Parameters struct {
		Repository string `json:"repositoryName"`
		Images     []struct {
			Digest string `json:"imageDigest"`
			Tag    string `json:"imageTag"`
		} `json:"imageIds"`
	} `json:"requestParameters"`
	More struct {
		DecidedBy string   `json:"decidedBy"`
		Subject   string   `json:"webIdentitySubject"`
		Pulled    []string `json:"pulledImages"`
	} `json:"additionalEventData"`
}

func readLogged(record json.RawMessage) (logged, error) {
	var one logged
	if err := json.Unmarshal(record, &one); err != nil {
		return one, fmt.Errorf("reading a record: %w", err)
	}
	return one, nil
}

// row is the record as a line of a table. All of it comes from strangers.
func (l logged) row() []string {
	who := cmp.Or(shortActor(l.Identity.ARN), l.Identity.InvokedBy, "anonymous")
	if _, session, ok := strings.Cut(l.Identity.ARN, ":assumed-role/"); ok {
		who = session // with its role
	}
	if l.More.Subject != "" {
		who += " (" + l.More.Subject + ")"
	}
	did := l.EventName
	if service := strings.TrimSuffix(l.EventSource, ".amazonaws.com"); service != "ecr" {
		did = service + ":" + did
	}
	result := "ok"
	switch {
	case l.ErrorCode != "" && l.More.DecidedBy != "":
		result = l.ErrorCode + ": " + l.More.DecidedBy
	case l.ErrorCode != "":
		result = l.ErrorCode
	case l.More.DecidedBy != "":
		result = "ok: " + l.More.DecidedBy
	}
	row := []string{l.EventTime.UTC().Format(time.RFC3339), who, did, l.what(), cmp.Or(l.Address, "-"), result}
	for i := range row {
		row[i] = plan.Printable(row[i])
	}
	return row
}

// what names the images that it was about, or the repository.
func (l logged) what() string {
	var names []string
	for _, i := range l.Parameters.Images {
		switch {
		case i.Tag != "":
			names = append(names, ":"+i.Tag)
		case i.Digest != "":
			names = append(names, "@"+short(i.Digest))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if more := len(names) - 3; more > 0 {
		names = append(names[:3], fmt.Sprintf("and %d more", more))
	}
	return cmp.Or(l.Parameters.Repository+strings.Join(names, " "), "-")
}

func writeLog(w io.Writer, records []json.RawMessage) error {
	rows := [][]string{{"TIME", "WHO", "DID", "WHAT", "FROM", "RESULT"}}
	for _, r := range records {
		one, err := readLogged(r)
		if err != nil {
			return err
		}
		rows = append(rows, one.row())
	}
	return writeTable(w, rows)
}
