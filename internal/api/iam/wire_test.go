package iam_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// post signs and sends a form as it stands, and gives the answer with its times and ids, which differ each time, as
// TIME and ID.
func (s *server) post(t *testing.T, form string) (status int, body string) {
	t.Helper()
	form += "&Version=2010-05-08"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256([]byte(form))
	if err := v4.NewSigner().SignHTTP(t.Context(), s.rootKey, req, hex.EncodeToString(sum[:]), "iam", region, time.Now()); err != nil {
		t.Fatalf("signing: %v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, changing.ReplaceAllStringFunc(string(text), func(found string) string {
		switch {
		case strings.HasPrefix(found, "A"): // it may end in a Z, as times do
			return found[:4] + "…"
		case strings.HasSuffix(found, "Z"):
			return "TIME"
		}
		return "<RequestId>ID</RequestId>"
	})
}

var changing = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|A(?:IDA|GPA|KIA)[A-Z2-7]{16,17}|<RequestId>[^<]*</RequestId>`)

// TestWire has answers whole: a list says whether it goes on, and is there when it is empty.
func TestWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.user(t, "ci", "")
	s.user(t, "eve", "")
	const (
		head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
		ns   = `xmlns="https://iam.amazonaws.com/doc/2010-05-08/"`
		meta = `<ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata>`
	)
	for _, test := range []struct {
		form   string
		status int
		want   string
	}{
		{"Action=GetUser", 200, `<GetUserResponse ` + ns + `><GetUserResult><User><Arn>arn:aws:iam::000000000042:root</Arn><CreateDate>TIME</CreateDate><UserId>000000000042</UserId></User></GetUserResult>` + meta + `</GetUserResponse>`},
		{"Action=ListUsers&MaxItems=1", 200, `<ListUsersResponse ` + ns + `><ListUsersResult><IsTruncated>true</IsTruncated><Marker>Y2k</Marker><Users><member><Arn>arn:aws:iam::000000000042:user/ci</Arn><CreateDate>TIME</CreateDate><Path>/</Path><UserId>AIDA…</UserId><UserName>ci</UserName></member></Users></ListUsersResult>` + meta + `</ListUsersResponse>`},
		{"Action=ListAccessKeys&UserName=eve", 200, `<ListAccessKeysResponse ` + ns + `><ListAccessKeysResult><AccessKeyMetadata><member><AccessKeyId>AKIA…</AccessKeyId><CreateDate>TIME</CreateDate><Status>Active</Status><UserName>eve</UserName></member></AccessKeyMetadata><IsTruncated>false</IsTruncated></ListAccessKeysResult>` + meta + `</ListAccessKeysResponse>`},
		{"Action=ListMFADevices&UserName=eve", 200, `<ListMFADevicesResponse ` + ns + `><ListMFADevicesResult><IsTruncated>false</IsTruncated><MFADevices></MFADevices></ListMFADevicesResult>` + meta + `</ListMFADevicesResponse>`},
		{"Action=GetUser&UserName=x", 404, `<ErrorResponse ` + ns + `><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The user with name x cannot be found.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		{"Action=CreateUser&UserName=ci", 409, `<ErrorResponse ` + ns + `><Error><Type>Sender</Type><Code>EntityAlreadyExists</Code><Message>User with name ci already exists.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
	} {
		status, got := s.post(t, test.form)
		got = strings.TrimSpace(strings.TrimPrefix(got, head))
		if status != test.status || got != test.want {
			t.Errorf("%s answers %d\n got %s\nwant %s", test.form, status, got, test.want)
		}
	}
}
