package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
)

// TestReadersOfEventsAreLogged has somebody look at who pulls what: by long poll, by stream, and without being allowed to.
func TestReadersOfEventsAreLogged(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	c.repository("team/app", "a layer")
	sam := c.user("sam", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"berth:ReadEvents","Resource":"*"},{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`)
	password := c.password(c.root)
	before := len(audited(t, c.data))
	read := func(want int, status int, answer string) {
		t.Helper()
		if status != want {
			t.Fatalf("%d %s", status, answer)
		}
	}
	status, _, answer := c.signed(c.root, "ecr", http.MethodGet, "/events?repository=team/app", "")
	read(200, status, answer)
	status, _, answer = c.signed(c.root, "ecr", http.MethodGet, "/events?repository=Team", "")
	read(400, status, answer)
	status, _, answer = c.signed(sam, "ecr", http.MethodGet, "/events?after=0", "")
	read(403, status, answer)
	status, _, answer = c.signed(sam, "ecr", http.MethodGet, "/events/receivers", "")
	read(403, status, answer)
	status, _, answer = c.docker("", http.MethodGet, "/events", "") // a challenge: nothing was asked for yet
	read(401, status, answer)
	status, _, answer = c.docker("wrong", http.MethodGet, "/events", "")
	read(401, status, answer)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL().String()+"/events?after=-1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	req.Header.Set("Accept", "text/event-stream")
	stream, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	want := []string{
		"root berth:ReadEvents team/app",
		"root berth:ReadEvents InvalidParameter",
		"sam berth:ReadEvents AccessDenied",
		"sam berth:DescribeEventReceivers AccessDenied",
		"anonymous berth:ReadEvents TokenInvalid",
		"root berth:ReadEvents", // while it goes on
	}
	if diff := cmp.Diff(want, since(t, c.data, before)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	denied := audited(t, c.data)[before+2]
	if !denied.Denied() || denied.Address != "127.0.0.1" || !strings.Contains(denied.DecidedBy, "Statement 1") {
		t.Errorf("the denial is %s", denied.Line)
	}
}

// TestAnImageThatIsNamedTwiceIsPulledOnce names one by tag and by digest.
func TestAnImageThatIsNamedTwiceIsPulledOnce(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	manifest, _ := c.repository("team/app", "a layer")
	before := len(audited(t, c.data))
	tag, digest := types.ImageIdentifier{ImageTag: aws.String("v1")}, types.ImageIdentifier{ImageDigest: &manifest}
	out, err := c.ecrAs(c.root).BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{tag, digest, tag}})
	if err != nil || len(out.Images) == 0 {
		t.Fatal(out, err)
	}
	records := audited(t, c.data)[before:]
	if len(records) != 1 || len(records[0].Pulled) != 1 {
		t.Errorf("the log has %s", records[0].Line)
	}
}
