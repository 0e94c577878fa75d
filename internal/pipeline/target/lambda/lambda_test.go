package lambda_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/lambda"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/stubtest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

const (
	repository  = "123456789012.dkr.ecr.us-east-1.amazonaws.com/prod"
	placeholder = repository + ":placeholder"
)

func image(b targettest.Behaviour) deploy.Image {
	return deploy.Image{App: "calculator", Environment: "staging", Repository: repository, Digest: digests[b], Deployment: "d-" + string(b)}
}

func fresh(t testing.TB) *stub {
	return &stub{
		t: t, name: "staging-calculator", kind: "Image", image: placeholder, tags: map[string]string{"team": "web"},
		versions: []string{placeholder}, aliases: map[string]alias{"live": {FunctionVersion: "1"}},
	}
}

func changes(r *http.Request) bool { return r.Method != http.MethodGet }

func open(t testing.TB, at string, options ...string) deploy.Target {
	t.Helper()
	options = append(options, `function: "{environment}-{app}"`, "endpoint: "+at)
	target, err := lambda.Open(t.Context(), lambda.Config{Options: stubtest.Options(t, "lambda", options...), Sleep: stubtest.Soon})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func place(s *stub, options ...string) *targettest.Place {
	return &targettest.Place{
		Open: func(t testing.TB, during func() bool) deploy.Target {
			return open(t, stubtest.Proxy(t, s, changes, during), options...)
		},
		Gone:  func(t testing.TB) (deploy.Target, error) { return open(t, stubtest.Gone(t), options...), nil },
		Image: func(_ testing.TB, b targettest.Behaviour) deploy.Image { return image(b) },
		Serves: func(context.Context) (oci.Digest, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(options) > 0 {
				n, err := strconv.Atoi(s.aliases["live"].FunctionVersion)
				return amazon.Digest(s.versions[n-1]), err
			}
			return amazon.Digest(s.image), nil
		},
		Check: func(to deploy.Image) deploy.Check {
			return func(context.Context, deploy.Endpoint) error {
				if to.Digest == digests[targettest.Sick] {
					return errors.New("it coughs")
				}
				return nil
			}
		},
		Left: func(testing.TB) (left []string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, key := range []string{amazon.TagBegun, amazon.TagBefore} {
				if v, ok := s.tags[key]; ok {
					left = append(left, key+"="+v)
				}
			}
			return left
		},
		Replaces: true,
		Changes:  true,
	}
}

func TestSuite(t *testing.T) {
	stubtest.Account(t)
	targettest.Run(t, func(t *testing.T) *targettest.Place { return place(fresh(t)) })
}

func TestSuiteWithAlias(t *testing.T) {
	stubtest.Account(t)
	targettest.Run(t, func(t *testing.T) *targettest.Place { return place(fresh(t), "alias: live") })
}

// notes keeps what is said.
type notes struct{ texts []string }

func (n *notes) Event(e progress.Event) { n.texts = append(n.texts, e.Text) }

func switchTo(t testing.TB, target deploy.Target, to deploy.Image) (string, error) {
	t.Helper()
	n := &notes{}
	err := target.Switch(t.Context(), to, func(context.Context, deploy.Endpoint) error { return nil }, &progress.Task{Sink: n, Now: time.Now})
	return strings.Join(n.texts, "\n"), err
}

func TestRefused(t *testing.T) {
	stubtest.Account(t)
	for name, c := range map[string]struct {
		place   func(s *stub)
		image   targettest.Behaviour
		options []string
		want    []string
	}{
		"no function": {
			place: func(s *stub) { s.name = "another" },
			want: []string{
				"there is no function staging-calculator in us-east-1",
				"aws lambda create-function --region us-east-1 --function-name staging-calculator --package-type Image --code ImageUri=" + image(targettest.First).Reference(),
			},
		},
		"no alias": {
			options: []string{"alias: green"},
			want:    []string{"no alias green", "aws lambda create-alias --region us-east-1 --function-name staging-calculator --name green"},
		},
		"a zip archive": {place: func(s *stub) { s.kind = "Zip" }, want: []string{"is of a zip archive"}},
		"no image":      {image: targettest.Missing, want: []string{"does not exist"}},
		"an index":      {place: func(s *stub) { s.denied = "index" }, image: targettest.Third, want: []string{"media type", "one platform"}},
		"may not pull":  {place: func(s *stub) { s.denied = "pull" }, want: []string{"ecr:GetDownloadUrlForLayer", "lambda.amazonaws.com"}},
		"may not tag":   {place: func(s *stub) { s.denied = "TagResource" }, want: []string{"lambda:TagResource is not allowed: User: arn:aws:iam::123456789012:user/ci"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			if c.place != nil {
				c.place(s)
			}
			if c.image == "" {
				c.image = targettest.First
			}
			_, err := switchTo(t, open(t, stubtest.Proxy(t, s, changes, nil), c.options...), image(c.image))
			if err == nil {
				t.Fatal("Switch gives no error")
			}
			if _, broken := errors.AsType[*deploy.Broken](err); broken {
				t.Errorf("Switch gives %v, want nothing broken", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Switch gives %v, want %q in it", err, want)
				}
			}
			if diff := cmp.Diff(map[string]string{"team": "web"}, s.tags); diff != "" || s.image != placeholder {
				t.Errorf("the function runs %s, its tags (-want +got):\n%s", s.image, diff)
			}
		})
	}
}

func TestAnotherUpdateIsAtWork(t *testing.T) {
	stubtest.Account(t)
	s := fresh(t)
	s.busy = 3
	said, err := switchTo(t, open(t, stubtest.Proxy(t, s, changes, nil)), image(targettest.First))
	if err != nil || s.busy != 0 || strings.Count(said, "still at work") != 1 {
		t.Errorf("Switch gives %v, with %d refusals left, and says\n%s", err, s.busy, said)
	}
}

// TestTagMoves looks that what ran by a tag is put back by the digest that the tag had.
func TestTagMoves(t *testing.T) {
	stubtest.Account(t)
	s := fresh(t)
	s.resolved = repository + "@" + oci.FromBytes([]byte("as it was")).String()
	want := s.resolved
	_, err := switchTo(t, open(t, stubtest.Proxy(t, s, changes, nil)), image(targettest.Ending))
	if _, undone := errors.AsType[*deploy.Undone](err); !undone || s.image != want {
		t.Errorf("Switch gives %v, and the function runs %s, want %s", err, s.image, want)
	}
	if !strings.Contains(err.Error(), "FunctionError.InvalidEntryPoint: exec: no such file") {
		t.Errorf("Switch gives %v, want Lambda's reason", err)
	}
}

// TestInvoke looks that an alias does not move to a version that answers with an error.
func TestInvoke(t *testing.T) {
	stubtest.Account(t)
	s := fresh(t)
	moved := 0
	at := stubtest.Proxy(t, s, func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/aliases/live") && r.Method == http.MethodPut
	}, func() bool { moved++; return true })
	target := open(t, at, "alias: live", `invoke: '{"a": 1}'`)
	_, err := switchTo(t, target, image(targettest.Sick))
	if _, undone := errors.AsType[*deploy.Undone](err); !undone || !strings.Contains(err.Error(), "version 2 answers with an error (Unhandled)") || s.aliases["live"].FunctionVersion != "1" {
		t.Errorf("Switch gives %v, and the alias leads to version %s", err, s.aliases["live"].FunctionVersion)
	}
	if _, err := switchTo(t, target, image(targettest.Second)); err != nil || s.aliases["live"].FunctionVersion != "3" || s.invoked != 2 {
		t.Errorf("Switch gives %v, the alias leads to version %s, %d invocations", err, s.aliases["live"].FunctionVersion, s.invoked)
	}
}

// TestAtMoto goes a way with moto's Lambda, which nobody here has written. Its updates are done at once, and it runs nothing.
func TestAtMoto(t *testing.T) {
	stubtest.Account(t)
	at, moto := stubtest.Moto(t)
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	roles := iam.NewFromConfig(c, func(o *iam.Options) { o.BaseEndpoint = &at })
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("runs"), AssumeRolePolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	client := sdk.NewFromConfig(c, func(o *sdk.Options) { o.BaseEndpoint = &at })
	target := open(t, stubtest.Proxy(t, moto, changes, nil))
	if got, err := target.Running(t.Context(), "calculator", "staging"); err != nil || got.Digest != "" || !strings.Contains(got.Detail, "there is no function staging-calculator") {
		t.Errorf("Running without a function gives %+v, %v", got, err)
	}
	if _, err := switchTo(t, target, image(targettest.First)); err == nil || !strings.Contains(err.Error(), "aws lambda create-function") {
		t.Errorf("Switch without a function gives %v", err)
	}
	if _, err := client.CreateFunction(t.Context(), &sdk.CreateFunctionInput{
		FunctionName: aws.String("staging-calculator"), PackageType: types.PackageTypeImage, Role: role.Role.Arn,
		Code: &types.FunctionCode{ImageUri: aws.String(image(targettest.First).Reference())}, Publish: true,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateAlias(t.Context(), &sdk.CreateAliasInput{
		FunctionName: aws.String("staging-calculator"), Name: aws.String("live"), FunctionVersion: aws.String("1"),
	}); err != nil {
		t.Fatal(err)
	}
	leads := func() string {
		out, err := client.GetAlias(t.Context(), &sdk.GetAliasInput{FunctionName: aws.String("staging-calculator"), Name: aws.String("live")})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.FunctionVersion)
	}
	for i, target := range []deploy.Target{target, open(t, stubtest.Proxy(t, moto, changes, nil), "alias: live")} {
		for _, b := range []targettest.Behaviour{targettest.First, targettest.Second, targettest.Third} {
			if _, err := switchTo(t, target, image(b)); err != nil {
				t.Fatalf("Switch to the %s image: %v", b, err)
			}
			if got, err := target.Running(t.Context(), "calculator", "staging"); err != nil || got.Digest != digests[b] || got.Begun != "" || got.Healthy == nil || !*got.Healthy {
				t.Errorf("Running gives %+v, %v, want the %s image", got, err, b)
			}
		}
		before := leads()
		sick := func(context.Context, deploy.Endpoint) error { return errors.New("it coughs") }
		err := target.Switch(t.Context(), image(targettest.Sick), sick, &progress.Task{Sink: &notes{}, Now: time.Now})
		if _, undone := errors.AsType[*deploy.Undone](err); !undone {
			t.Errorf("Switch to a sick image gives %v", err)
		}
		if after := leads(); after != before {
			t.Errorf("the alias leads to version %s, want %s again", after, before)
		}
		got, err := target.Running(t.Context(), "calculator", "staging")
		if same := got.Digest == digests[targettest.Third] || i == 1; err != nil || !same || got.Begun != "" { // moto's versions have the newest code
			t.Errorf("Running gives %+v, %v, want the third image again", got, err)
		}
	}
}

func TestOptions(t *testing.T) {
	stubtest.Account(t)
	for text, want := range map[string]string{
		"functoin: x":  `did you mean "function"?`,
		"invoke: '{}'": "needs an alias",
	} {
		if _, err := lambda.Open(t.Context(), lambda.Config{Options: stubtest.Options(t, "lambda", text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open with %q gives %v, want %q", text, err, want)
		}
	}
}

func TestDocumented(t *testing.T) {
	stubtest.Documented(t, "lambda", lambda.Options{})
}
