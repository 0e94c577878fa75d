package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const queried = `{"repositoryName": "a/b", "next": null, "flag": true, "half": 0.5, "imageDetails": [{"imageDigest": "sha256:1", "imageTags": ["web-1", "web-latest"], "imageSizeInBytes": 104857600, "scan": {"HIGH": 2, "LOW": 1}}, {"imageDigest": "sha256:2", "imageTags": [], "imageSizeInBytes": 7, "pulled": "never"}, {"imageDigest": "sha256:3", "imageTags": ["api-1"], "imageSizeInBytes": 9}]}`

// TestQueryAsText holds --query with --output text to what the AWS CLI 1.45 prints for the same expression and the same data.
func TestQueryAsText(t *testing.T) {
	t.Parallel()
	var data any
	if err := json.Unmarshal([]byte(queried), &data); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"repositoryName":             "a/b\n",
		"next":                       "None\n",
		"flag":                       "True\n",
		"half":                       "0.5\n",
		"nothing":                    "None\n",
		"imageDetails":               "sha256:1\t104857600\t\nIMAGETAGS\tweb-1\nIMAGETAGS\tweb-latest\nSCAN\t2\t1\nsha256:2\t7\tnever\nsha256:3\t9\t\nIMAGETAGS\tapi-1\n",
		"imageDetails[0]":            "sha256:1\t104857600\nIMAGETAGS\tweb-1\nIMAGETAGS\tweb-latest\nSCAN\t2\t1\n",
		"@":                          "True\t0.5\tNone\ta/b\nIMAGEDETAILS\tsha256:1\t104857600\t\nIMAGETAGS\tweb-1\nIMAGETAGS\tweb-latest\nSCAN\t2\t1\nIMAGEDETAILS\tsha256:2\t7\tnever\nIMAGEDETAILS\tsha256:3\t9\t\nIMAGETAGS\tapi-1\n",
		"imageDetails[].imageDigest": "sha256:1\tsha256:2\tsha256:3\n",
		"imageDetails[].imageTags":   "web-1\tweb-latest\napi-1\n",
		"imageDetails[].imageTags[]": "web-1\tweb-latest\tapi-1\n",
		"imageDetails[].[imageDigest,imageSizeInBytes]":              "sha256:1\t104857600\nsha256:2\t7\nsha256:3\t9\n",
		"imageDetails[].[imageTags[0],imageDigest]":                  "web-1\tsha256:1\nNone\tsha256:2\napi-1\tsha256:3\n",
		"imageDetails[?starts_with(imageTags[0] || '', 'web-')]":     "sha256:1\t104857600\nIMAGETAGS\tweb-1\nIMAGETAGS\tweb-latest\nSCAN\t2\t1\n",
		"length(imageDetails)":                                       "3\n",
		"sum(imageDetails[].imageSizeInBytes)":                       "104857616\n",
		"sort_by(imageDetails,&imageSizeInBytes)[].imageSizeInBytes": "7\t9\t104857600\n",
		"imageDetails[].{Digest:imageDigest,Tags:imageTags}":         "sha256:1\nTAGS\tweb-1\nTAGS\tweb-latest\nsha256:2\nsha256:3\nTAGS\tapi-1\n",
		"imageDetails[?imageSizeInBytes>`8`].imageDigest | [0]":      "sha256:1\n",
		"imageDetails[?imageDigest==`sha256:2`].imageSizeInBytes":    "7\n",
		"imageDetails[?pulled==`never`].imageDigest":                 "sha256:2\n",
		"max_by(imageDetails,&imageSizeInBytes).imageDigest":         "sha256:1\n",
		"[half,flag,next]":                      "0.5\tTrue\tNone\n",
		"imageDetails[0].scan":                  "2\t1\n",
		"sort(keys(imageDetails[0].scan))":      "HIGH\tLOW\n",
		"{A:[[`1`,`2`],[`3`]],B:'x'}":           "x\nA\t1\nA\t2\nA\t3\n",
		"`[]`":                                  "",
		"imageDetails[?imageSizeInBytes>`1e9`]": "",
		"[[],['a',['b','c']]]":                  "None\na\nb\tc\n",
	} {
		cmd := &cobra.Command{}
		addOutput(cmd)
		var out strings.Builder
		p := &program{stdout: &out}
		err := cmd.ParseFlags([]string{"--output", "text", "--query", query})
		if err == nil {
			err = p.print(cmd, data, nil)
		}
		if err != nil || out.String() != want {
			t.Errorf("%s finds %q (%v), want %q", query, out.String(), err, want)
		}
	}
}
