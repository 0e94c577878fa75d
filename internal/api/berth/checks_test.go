package berth_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestChecksOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.registry.CreateRepository(t.Context(), s.root, registry.NewRepository{Name: repo}); err != nil {
		t.Fatal(err)
	}
	image := s.push(t, "one")
	d := oci.FromBytes([]byte(`{"seed":"one"}`))
	row, err := s.db.Checks().FindBlob(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.blobs.Delete(t.Context(), row.Key); err != nil {
		t.Fatal(err)
	}
	ask := func(operation, who, body, want string) string {
		t.Helper()
		status, answer := s.call(t.Context(), t, operation, who, body)
		if good := strings.HasPrefix(want, "{"); good != (status == http.StatusOK) || !good && !strings.Contains(answer, want) {
			t.Fatalf("%s(%s) by %s: %d %s, want %s", operation, body, who, status, answer, want)
		}
		return answer
	}
	ask("DescribeCheck", "root", `{}`, "CheckNotFoundException")
	for _, operation := range []string{"StartCheck", "DescribeCheck"} {
		ask(operation, "user", `{}`, "berth:"+operation+" on resource: *")
	}
	ask("StopCheck", "user", `{"checkId":"1"}`, "berth:StopCheck on resource: *")
	ask("StartCheck", "root", `{"bytesPerSecond":-1}`, "'bytesPerSecond'")
	ask("StartCheck", "root", `{"repair":true}`, `{`)
	ask("StartCheck", "root", `{}`, "CheckInProgressException")
	ask("DescribeCheck", "root", `{"checkId":"one"}`, "'checkId'")
	ask("DescribeCheck", "root", `{"checkId":"4711"}`, "CheckNotFoundException")
	ask("DescribeCheck", "root", `{"nextToken":"x"}`, "'nextToken'")
	ask("DescribeCheck", "root", `{"maxResults":0}`, "'maxResults'")
	ask("StopCheck", "root", `{}`, "'checkId'")
	if _, err := s.checks.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask("StopCheck", "root", `{"checkId":"1"}`, "CheckEndedException")
	ask("DescribeCheck", "root", `{"scrub":true}`, "CheckNotFoundException")

	var got map[string]any
	if err := json.Unmarshal([]byte(ask("DescribeCheck", "root", `{"checkId":"1"}`, `{`)), &got); err != nil {
		t.Fatal(err)
	}
	check, _ := got["check"].(map[string]any)
	for _, time := range []string{"startedAt", "endedAt"} {
		if _, ok := check[time].(float64); !ok {
			t.Errorf("the check's %s is %v", time, check[time])
		}
		delete(check, time)
	}
	const want = `{"actor":"arn:aws:iam::000000000042:root","checkId":"1","checkedBlobs":1,"checkedBytes":14,"checkedImages":1,"checkedObjects":0,` +
		`"phase":"STORE","problems":1,"quick":false,"repair":true,"repaired":0,"scrub":false,"status":"COMPLETE","totalBlobs":1,"totalBytes":14}`
	if raw, err := json.Marshal(check); err != nil || string(raw) != want {
		t.Errorf("the check\n got %s\nwant %s", raw, want)
	}
	findings, _ := got["findings"].([]any)
	if len(findings) != 1 {
		t.Fatalf("the findings: %v", findings)
	}
	found, _ := findings[0].(map[string]any)
	delete(found, "foundAt")
	wantFound := `{"blobKey":"` + string(row.Key) + `","detail":"its bytes are not in the blob store","digest":"` + d.String() + `","done":"MARKED","kind":"LOST","name":"` + d.String() +
		`","neededBy":["` + repo + `@` + image.String() + `"],"sizeInBytes":14}`
	if raw, err := json.Marshal(found); err != nil || string(raw) != wantFound {
		t.Errorf("the finding\n got %s\nwant %s", raw, wantFound)
	}
}
