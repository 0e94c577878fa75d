package cli_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/cli"
	"github.com/hoopstat-haus/berth/internal/extract"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

func TestMain(m *testing.M) {
	if _, child := extract.Child(os.Args); child { // a server of a script reads a layer
		os.Exit(cli.Main(os.Args[1:]))
	}
	testscript.Main(m, map[string]func(){
		"berth":                   func() { os.Exit(cli.Main(os.Args[1:])) },
		"docker-credential-berth": func() { os.Exit(cli.Main(os.Args[1:])) },
	})
}

// TestScripts runs the stories in testdata. Each has a home of its own. Beside the usual commands there are
//
//	ready DIR             wait until the server with that data directory, which runs in the background, is ready
//	berthenv DIR          set what `berth env --data DIR` prints
//	push DIR REPO TAG N   push an image, another one for each N, with what that data directory says
//	logsin DIR FILE       log in to the server with that data directory with a credential helper's answer
//	answers DIR           run a server that answers Action=X with DIR/X.xml, and writes what is asked to DIR/asked.X
//	jsonanswers DIR       run a server that answers an operation of the JSON protocol with DIR/Operation.json, or, of an image,
//	                      Operation.OF.json by its tag or the first four digits of its digest; a page's token stands before .json
//	proxy FILE            run a proxy that writes to FILE whom it should connect to, and does not
//	moto                  run moto's server, another reading of AWS's documentation, and set the variables for it
//	signwith DIR PROFILE  have the server sign with that profile alone
//
// and those of scan_test.go, lifecycle_test.go, images_test.go, images_built_test.go doctor_test.go and deploy_test.go.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Condition:          condition,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			// No file or machine role of whoever runs the tests has a say.
			env.Setenv("AWS_CONFIG_FILE", filepath.Join(env.WorkDir, "no-config"))
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(env.WorkDir, "no-credentials"))
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_PROFILE"} {
				env.Setenv(name, "")
			}
			return os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "berthenv": berthEnv, "push": push, "signwith": signWith, "cacherule": cacheRule, "logsin": logsIn, "moto": moto, "answers": answers, "jsonanswers": jsonAnswers, "pushfiles": pushFiles, "osvzip": osvZip, "scannedby": scannedBy, "proxy": proxy,
			"renamefront": renameFront, "iam": iamDo,
			"pushlayers": pushLayers, "pushindex": pushIndex, "gone": gone, "stored": stored,
			"pushbuilt": pushBuilt, "pushbuilts": pushBuilts, "attach": attach, "immutable": immutable, "putmanifest": putManifest,
			"clockfront": clockFront, "tlsfront": tlsFront, "plainfront": plainFront, "idtokens": idTokens,
			"deleteimage": deleteImage, "deleterepo": deleteRepo, "makerepo": makeRepo, "pulls": pulls, "deployed": deployedBefore,
		},
	})
}

// ready waits for the file that a server writes when it listens, and for /readyz.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DIR")
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	for range 3000 {
		key, err := app.ReadRootKey(ts.MkAbs(args[0]))
		if err == nil {
			res, get := client.Get(key.URL + "/readyz")
			if err = get; err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return
				}
				err = fmt.Errorf("/readyz answers %s", res.Status)
			}
		}
		last = err
		<-time.After(10 * time.Millisecond)
	}
	ts.Fatalf("the server is not ready: %v", last)
}

func berthEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: berthenv DIR")
	}
	ts.Check(ts.Exec("berth", "env", "--data", args[0]))
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if assignment, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			name, value, _ := strings.Cut(assignment, "=")
			ts.Setenv(name, strings.Trim(value, "'"))
		}
	}
}

func cacheRule(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cacherule DIR PREFIX UPSTREAM")
	}
	key, err := app.ReadRootKey(ts.MkAbs(args[0]))
	ts.Check(err)
	client := ecr.New(ecr.Options{
		BaseEndpoint: &key.URL, Region: key.Region,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	})
	_, err = client.CreatePullThroughCacheRule(context.Background(), &ecr.CreatePullThroughCacheRuleInput{
		EcrRepositoryPrefix: &args[1], UpstreamRegistryUrl: &args[2],
	})
	ts.Check(err)
}

func push(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: push DIR REPO TAG N")
	}
	ref, login := pushTo(ts, args[0], args[1], args[2])
	image, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"n": args[3]}})
	ts.Check(err)
	ts.Check(remote.Write(ref, image, login))
}

// pushTo makes a repository, if there is none, and gives how to push a tag to it.
func pushTo(ts *testscript.TestScript, data, repository, tag string) (name.Reference, remote.Option) {
	client, key := connect(ts, data)
	ctx := context.Background()
	_, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &repository})
	if _, exists := errors.AsType[*types.RepositoryAlreadyExistsException](err); !exists {
		ts.Check(err)
	}
	token, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	ts.Check(err)
	password, err := base64.StdEncoding.DecodeString(aws.ToString(token.AuthorizationData[0].AuthorizationToken))
	ts.Check(err)
	host := strings.TrimPrefix(key.URL, "http://")
	ref, err := name.ParseReference(host+"/"+repository+":"+tag, name.Insecure)
	ts.Check(err)
	return ref, remote.WithAuth(&authn.Basic{Username: "AWS", Password: strings.TrimPrefix(string(password), "AWS:")})
}

func logsIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: logsin DIR FILE")
	}
	key, err := app.ReadRootKey(ts.MkAbs(args[0]))
	ts.Check(err)
	var login struct{ Username, Secret string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &login))
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, key.URL+"/v2/", http.NoBody)
	ts.Check(err)
	req.SetBasicAuth(login.Username, login.Secret)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	ts.Check(err)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		ts.Fatalf("GET /v2/ answers %s", res.Status)
	}
}

func signWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signwith DIR PROFILE")
	}
	client, _ := connect(ts, args[0])
	_, err := client.PutSigningConfiguration(context.Background(), &ecr.PutSigningConfigurationInput{
		SigningConfiguration: &types.SigningConfiguration{Rules: []types.SigningRule{{SigningProfileArn: &args[1]}}},
	})
	ts.Check(err)
}

// connect makes a client with what a data directory says.
func connect(ts *testscript.TestScript, data string) (*ecr.Client, app.RootKey) {
	key, err := app.ReadRootKey(ts.MkAbs(data))
	ts.Check(err)
	return ecr.New(ecr.Options{
		BaseEndpoint: &key.URL, Region: key.Region,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	}), key
}
