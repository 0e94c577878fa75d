package awswire_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// sample has a member of every kind.
type sample struct {
	Text    *string
	Enum    types.ImageStatus
	Flag    bool
	Maybe   *bool
	Number  *int32
	Long    int64
	Real    *float64
	Small   *float32
	When    *time.Time
	Blob    []byte
	List    []string
	Structs []inner
	Table   map[string]string
	Counts  map[string]int32
	Deep    *sample
}

type inner struct {
	A *string
	B []string
}

func TestJSONRequests(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(nil)
	at := time.Date(2026, 11, 24, 10, 15, 0, 250_000_000, time.UTC)
	tests := []struct {
		body string
		want sample
	}{
		{``, sample{}},
		{"  \n", sample{}},
		{`{}`, sample{}},
		{` { "text" : "a" , "flag":true } `, sample{Text: aws.String("a"), Flag: true}},
		{`{"unknown":{"a":[1,2,{"b":null}],"c":"\u00e9"},"text":"x"}`, sample{Text: aws.String("x")}},
		{`{"Text":"names are exact"}`, sample{}},
		{`{"text":null,"list":null,"deep":null,"flag":null}`, sample{}},
		{`{"text":""}`, sample{Text: aws.String("")}},
		{`{"text":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"}`, sample{Text: aws.String("\"\\/\b\f\n\r\té😀é😀")}},
		{`{"enum":"ACTIVE"}`, sample{Enum: types.ImageStatusActive}},
		{`{"enum":"WHATEVER"}`, sample{Enum: "WHATEVER"}},
		{`{"number":-7,"long":9007199254740993}`, sample{Number: aws.Int32(-7), Long: 9007199254740993}},
		{`{"real":1.5e3}`, sample{Real: aws.Float64(1500)}},
		{`{"real":"-Infinity"}`, sample{Real: aws.Float64(math.Inf(-1))}},
		{`{"when":1795515300.25}`, sample{When: &at}},
		{`{"when":1.79551530025E9}`, sample{When: &at}},
		{`{"blob":"aGVsbG8="}`, sample{Blob: []byte("hello")}},
		{`{"blob":"\/\/79"}`, sample{Blob: []byte{0xff, 0xfe, 0xfd}}},
		{`{"blob":""}`, sample{Blob: []byte{}}},
		{`{"list":[]}`, sample{List: []string{}}},
		{`{"list":["a","b"]}`, sample{List: []string{"a", "b"}}},
		{`{"structs":[{},{"a":"x","b":["y"]}]}`, sample{Structs: []inner{{}, {A: aws.String("x"), B: []string{"y"}}}}},
		{`{"table":{"k\u00e9":"v"},"counts":{"HIGH":3}}`, sample{Table: map[string]string{"ké": "v"}, Counts: map[string]int32{"HIGH": 3}}},
		{`{"deep":{"deep":{"text":"down"}}}`, sample{Deep: &sample{Deep: &sample{Text: aws.String("down")}}}},
	}
	for _, test := range tests {
		var got sample
		if err := codec.DecodeJSON([]byte(test.body), &got); err != nil {
			t.Errorf("decoding %s: %v", test.body, err)
		} else if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("decoding %s (-want +got):\n%s", test.body, diff)
		}
	}
}

// refuses decodes each body and looks for words in the error.
func refuses(t *testing.T, bodies map[string]string) {
	t.Helper()
	codec := awswire.NewJSONCodec(nil)
	for body, want := range bodies {
		var got sample
		err := codec.DecodeJSON([]byte(body), &got)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decoding %.80s: %v, want %q", body, err, want)
		}
	}
}

func TestBrokenJSON(t *testing.T) {
	t.Parallel()
	refuses(t, map[string]string{
		`{`:                                   "the JSON ends",
		`{"text"`:                             "the JSON ends where a colon should be",
		`{"text":"x"`:                         "the JSON ends",
		`{"text":"x",}`:                       "a member name",
		`{"text" "x"}`:                        "a colon",
		`{"text":"x" "list":[]}`:              "a comma",
		`{text:"x"}`:                          "a member name",
		`{} {}`:                               "the end of the body",
		`{}x`:                                 "the end of the body",
		`{"number":01}`:                       "malformed",
		`{"number":-}`:                        "malformed",
		`{"number":1.}`:                       "malformed",
		`{"number":1e}`:                       "malformed",
		`{"text":"a` + "\n" + `"}`:            "control character",
		`{"text":"\n` + "\x01" + `"}`:         "control character",
		"{\"text\":\"a\xff\"}":                "not UTF-8",
		"{\"text\":\"\\n\xff\"}":              "not UTF-8",
		"{\"a\xff\":1}":                       "not UTF-8",
		`{"text":"\ud83d"}`:                   "half of a surrogate pair",
		`{"text":"\ud83dx"}`:                  "half of a surrogate pair",
		`{"text":"\ude00\ud83d"}`:             "half of a surrogate pair",
		`{"text":"\u12"}`:                     "escape",
		`{"text":"\u+123"}`:                   "escape",
		`{"text":"\x41"}`:                     "unknown escape",
		`{"text":"\`:                          "ends inside a string",
		`{"unknown":[1,2`:                     "the JSON ends",
		`{"unknown":nul}`:                     "expected a value",
		`{"unknown":'x'}`:                     "expected a value",
		strings.Repeat(`{"deep":`, 33) + "{}": "nested deeper than 32 levels",
		`{"unknown":` + strings.Repeat("[", 100000): "nested deeper than 32 levels",
	})
}

func TestJSONOfTheWrongTypes(t *testing.T) {
	t.Parallel()
	refuses(t, map[string]string{
		`null`:                               "expected an object, found null",
		`[]`:                                 "expected an object, found a list",
		`"x"`:                                "expected an object, found a string",
		`{"text":`:                           "text: the JSON ends",
		"\x00":                               "expected an object",
		`{"text":1}`:                         "text: expected a string, found a number",
		`{"text":{}}`:                        "text: expected a string, found an object",
		`{"enum":false}`:                     "enum: expected a string, found a boolean",
		`{"flag":"true"}`:                    "flag: expected a boolean, found a string",
		`{"flag":tru}`:                       "flag: expected a boolean",
		`{"number":"1"}`:                     "number: expected a number, found a string",
		`{"number":1.5}`:                     "number: 1.5 is not a whole number",
		`{"number":2147483648}`:              "number: 2147483648 is not a whole number of at most 32 bits",
		`{"long":9223372036854775808}`:       "at most 64 bits",
		`{"real":1e999}`:                     "out of range",
		`{"small":1e300}`:                    "out of range",
		`{"real":"1"}`:                       "real: expected a number",
		`{"when":"2026-11-24T10:15:00Z"}`:    "when: expected a number",
		`{"when":1e30}`:                      "when: the time 1e+30 is out of range",
		`{"when":"NaN"}`:                     "out of range",
		`{"blob":"x"}`:                       "blob: a blob is not base64",
		`{"blob":"aGVsbG8"}`:                 "blob: a blob is not base64",
		"{\"blob\":\"aGVs\nbG8=\"}":          "blob: a blob is not base64",
		`{"blob":[1]}`:                       "blob: expected a string",
		`{"list":"a"}`:                       "list: expected a list, found a string",
		`{"list":{"0":"a"}}`:                 "list: expected a list",
		`{"list":["a",2]}`:                   "list[1]: expected a string, found a number",
		`{"list":[null]}`:                    "list[0]: expected a string, found null",
		`{"structs":[{},{"b":["y",false]}]}`: "structs[1].b[1]: expected a string, found a boolean",
		`{"structs":[1]}`:                    "structs[0]: expected an object",
		`{"table":{"a":1}}`:                  "table.a: expected a string",
		`{"table":{"a":"1","a":"2"}}`:        "table.a: the key is there twice",
		`{"table":[]}`:                       "table: expected an object",
		`{"text":"a","text":"b"}`:            "text: the member is there twice",
		`{"text":null,"text":"b"}`:           "text: the member is there twice",
	})
}

func TestJSONAnswers(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(nil)
	when := func(ms int64) *time.Time { t := time.UnixMilli(ms); return &t }
	tests := []struct {
		value sample
		want  string
	}{
		{sample{}, `{"flag":false,"long":0}`},
		{sample{Text: aws.String(""), List: []string{}, Table: map[string]string{}}, `{"flag":false,"list":[],"long":0,"table":{},"text":""}`},
		{sample{Text: aws.String("<&>\u2028\"\\\n\r\t\b\x7fé")}, `{"flag":false,"long":0,"text":"<&>` + "\u2028" + `\"\\\n\r\t\u0008` + "\x7f" + `é"}`},
		{sample{Text: aws.String("a\xffb\xc3")}, `{"flag":false,"long":0,"text":"a` + "\ufffdb\ufffd" + `"}`},
		{sample{Enum: "ACTIVE", Flag: true, Maybe: aws.Bool(false)}, `{"enum":"ACTIVE","flag":true,"long":0,"maybe":false}`},
		{sample{Long: -9223372036854775808}, `{"flag":false,"long":-9223372036854775808}`},
		{sample{Real: aws.Float64(0.1), Small: aws.Float32(0.1)}, `{"flag":false,"long":0,"real":0.1,"small":0.1}`},
		{sample{Real: aws.Float64(math.NaN()), Small: aws.Float32(1e30)}, `{"flag":false,"long":0,"real":"NaN","small":1e+30}`},
		{sample{When: when(1795515300000)}, `{"flag":false,"long":0,"when":1795515300}`},
		{sample{When: when(1795515300250)}, `{"flag":false,"long":0,"when":1795515300.25}`},
		{sample{When: when(1795515300007)}, `{"flag":false,"long":0,"when":1795515300.007}`},
		{sample{When: when(-1500)}, `{"flag":false,"long":0,"when":-1.5}`},
		{sample{Blob: []byte{0xff, 0xfe}}, `{"blob":"//4=","flag":false,"long":0}`},
		{sample{Counts: map[string]int32{"b": 2, "a": 1}}, `{"counts":{"a":1,"b":2},"flag":false,"long":0}`},
		{sample{Structs: []inner{{}, {A: aws.String("x")}}}, `{"flag":false,"long":0,"structs":[{},{"a":"x"}]}`},
	}
	for _, test := range tests {
		got, err := codec.EncodeJSON(nil, &test.value)
		if err != nil || string(got) != test.want {
			t.Errorf("encoding %+v: error %v\n got %s\nwant %s", test.value, err, got, test.want)
		}
	}
}

func TestXMLAnswers(t *testing.T) {
	t.Parallel()
	codec := awswire.NewQueryCodec(nil)
	when := time.Date(2026, 11, 24, 11, 15, 0, 250_999_999, time.FixedZone("", 3600))
	value := sample{
		Text: aws.String("<a & \"b\">\r\n\x01\xff"), When: &when, Blob: []byte("hi"), List: []string{"x", ""},
		Structs: []inner{{A: aws.String("y")}}, Table: map[string]string{"k": "v"},
	}
	got, err := codec.EncodeXML(nil, &value)
	want := "<Blob>aGk=</Blob><Flag>false</Flag><List><member>x</member><member></member></List><Long>0</Long>" +
		"<Structs><member><A>y</A></member></Structs><Table><entry><key>k</key><value>v</value></entry></Table>" +
		"<Text>&lt;a &amp; &#34;b&#34;&gt;&#13;\n\ufffd\ufffd</Text><When>2026-11-24T10:15:00.25Z</When>"
	if err != nil || string(got) != want {
		t.Errorf("EncodeXML: error %v\n got %s\nwant %s", err, got, want)
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	codec := awswire.NewQueryCodec(nil)
	at := time.Date(2026, 11, 24, 10, 15, 0, 0, time.UTC)
	tests := []struct {
		form string
		want sample
	}{
		{"", sample{}},
		{"Unknown=1&Unknown.member.1=2&text=3", sample{}},
		{"Text=a+b%2Bc%C3%A9&Flag=true&Maybe=false", sample{Text: aws.String("a b+cé"), Flag: true, Maybe: aws.Bool(false)}},
		{"Number=-3&Long=5&Real=1.5", sample{Number: aws.Int32(-3), Long: 5, Real: aws.Float64(1.5)}},
		{"When=2026-11-24T11:15:00%2B01:00&Blob=aGk%3D", sample{When: &at, Blob: []byte("hi")}},
		{"List=", sample{List: []string{}}},
		{"List.member.10=c&List.member.2=b&List.member.1=a", sample{List: []string{"a", "b", "c"}}},
		{"Structs.member.1.A=x&Structs.member.2.B.member.1=y", sample{Structs: []inner{{A: aws.String("x")}, {B: []string{"y"}}}}},
		{"Table.entry.1.key=k&Table.entry.1.value=v", sample{Table: map[string]string{"k": "v"}}},
		{"Deep.Deep.Text=down", sample{Deep: &sample{Deep: &sample{Text: aws.String("down")}}}},
	}
	for _, test := range tests {
		var got sample
		if err := codec.DecodeForm(test.form, &got); err != nil {
			t.Errorf("decoding %s: %v", test.form, err)
		} else if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("decoding %s (-want +got):\n%s", test.form, diff)
		}
	}
	for form, want := range map[string]string{
		"Text=%zz":                             "Text: the value is not percent-encoded",
		"%zz=x":                                "not percent-encoded",
		"Text=a&Text=b":                        "Text: the parameter is there twice",
		"Text.x=a":                             "Text: expected one plain value",
		"Flag=yes":                             "Flag: expected true or false",
		"Number=x":                             "Number: expected a whole number",
		"Number=2147483648":                    "Number: expected a whole number of at most 32 bits",
		"Real=x":                               "Real: expected a number",
		"When=yesterday":                       "When: expected a time",
		"Blob=!":                               "Blob: expected base64",
		"List=a":                               "List: expected numbered parameters",
		"List.1=a":                             "List: expected numbered parameters",
		"List.member.x=a":                      `List: "x" is no number`,
		"List.member.1=a&List.member.01=b":     "List: the number 1 is there twice",
		"Structs.member.1.B.member.1.x=y":      "Structs.member.1.B.member.1: expected one plain value",
		"Table.entry.1.key=k":                  "Table.entry.1: expected a key and a value",
		strings.Repeat("Deep.", 64) + "Text=x": "nested deeper than 32 levels",
		strings.Repeat("&", 20000):             "more than 20000 parameters",
	} {
		var got sample
		if err := codec.DecodeForm(form, &got); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decoding %.80s: %v, want %q", form, err, want)
		}
	}
}

// TestBlobsOfEverySize covers the seams of decoding base64 in place.
func TestBlobsOfEverySize(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(nil)
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.SampledFrom([]int{0, 3072, 6144, 9216}).Draw(t, "around")
		blob := make([]byte, max(0, around+rapid.IntRange(-4, 4).Draw(t, "off by")))
		for i := range blob {
			blob[i] = byte(i * 7)
		}
		body, err := codec.EncodeJSON(nil, &sample{Blob: blob, Text: aws.String("after the blob")})
		if err != nil {
			t.Fatal(err)
		}
		var got sample
		if err := codec.DecodeJSON(body, &got); err != nil || string(got.Blob) != string(blob) || *got.Text != "after the blob" {
			t.Errorf("a blob of %d bytes came back as %d bytes, error %v", len(blob), len(got.Blob), err)
		}
	})
}

func TestStringsArriveAsTheyLeft(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(nil)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		body, err := codec.EncodeJSON(nil, &inner{A: &text})
		if err != nil {
			t.Fatal(err)
		}
		var std struct{ A *string }
		if err := json.Unmarshal(body, &std); err != nil || *std.A != text {
			t.Errorf("encoding/json reads %s as %v, error %v", body, std.A, err)
		}
		if body, err = json.Marshal(map[string]string{"a": text}); err != nil {
			t.Fatal(err)
		}
		var got inner
		if err := codec.DecodeJSON(body, &got); err != nil || *got.A != text {
			t.Errorf("encoding/json's %s came back as %v, error %v", body, got.A, err)
		}
	})
}

func TestTypesThatNoProtocolCarriesAreFoundEarly(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(nil)
	for _, v := range []any{&struct{ F func() }{}, &struct{ I any }{}, &struct{ M map[int]string }{}, &struct{ C chan int }{}} {
		if got, err := codec.EncodeJSON(nil, v); err == nil {
			t.Errorf("encoding %T gave %s", v, got)
		}
	}
	same := awswire.NewJSONCodec(map[string]string{"inner.A": "b"})
	if got, err := same.EncodeJSON(nil, &inner{}); err == nil {
		t.Errorf("a type with two members of one name was encoded as %s", got)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"text":"x","list":["a"],"structs":[{"a":"\u00e9","b":[]}],"table":{"k":"v"},"blob":"aGk=","when":1.5,"real":"NaN"}`,
		`{"deep":{"deep":{}},"number":-1,"unknown":[[{"x":1e5}]]}`, `{"text":"\ud83d\ude00"}`, `{`, ``, `{"blob":"\/w=="}`,
	} {
		f.Add([]byte(seed))
	}
	codec := awswire.NewJSONCodec(nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		text := string(body) // decoding consumes the body
		var first, second sample
		if err := codec.DecodeJSON(body, &first); err != nil {
			return
		}
		if strings.TrimSpace(text) != "" && !json.Valid([]byte(text)) {
			t.Errorf("decoding took %q, which is no JSON", text)
		}
		again, err := codec.EncodeJSON(nil, &first)
		if err != nil || !json.Valid(again) {
			t.Fatalf("encoding what %q says: %s, error %v", text, again, err)
		}
		if err := codec.DecodeJSON([]byte(string(again)), &second); err != nil {
			t.Fatalf("decoding our own %s: %v", again, err)
		}
		third, err := codec.EncodeJSON(nil, &second)
		if err != nil || string(third) != string(again) {
			t.Errorf("%q says %s, which says %s, error %v", text, again, third, err)
		}
	})
}

func FuzzDecodeQuery(f *testing.F) {
	for _, seed := range []string{
		"Action=GetCallerIdentity&Version=2011-06-15", "List.member.1=a&Table.entry.1.key=k&Table.entry.1.value=v",
		"Structs.member.2.B.member.1=x&When=2026-11-24T10:15:00Z", "a.b.c=1&a.b=2&a=3", "%zz", "Deep.Deep.Text=+",
	} {
		f.Add(seed)
	}
	codec := awswire.NewQueryCodec(nil)
	f.Fuzz(func(t *testing.T, form string) {
		var got sample
		if err := codec.DecodeForm(form, &got); err != nil {
			return
		}
		if _, err := codec.EncodeXML(nil, &got); err != nil {
			t.Errorf("encoding what %q says: %v", form, err)
		}
	})
}

// details are as many image details as a page of DescribeImages holds.
func details(n int) *ecr.DescribeImagesOutput {
	out := &ecr.DescribeImagesOutput{NextToken: aws.String("token")}
	at := time.Date(2026, 11, 24, 10, 15, 0, 250_000_000, time.UTC)
	for i := range n {
		out.ImageDetails = append(out.ImageDetails, types.ImageDetail{
			ArtifactMediaType:        aws.String("application/vnd.oci.image.config.v1+json"),
			ImageDigest:              aws.String(fmt.Sprintf("sha256:%064x", i)),
			ImageManifestMediaType:   aws.String("application/vnd.oci.image.manifest.v1+json"),
			ImagePushedAt:            &at,
			ImageSizeInBytes:         aws.Int64(int64(i) * 1000003),
			ImageStatus:              types.ImageStatusActive,
			ImageTags:                []string{"example-calculator-app-latest", fmt.Sprintf("example-calculator-app-%07x", i)},
			LastRecordedPullTime:     &at,
			RegistryId:               aws.String("000123456789"),
			RepositoryName:           aws.String("hoopstat-haus/prod"),
			ImageScanFindingsSummary: &types.ImageScanFindingsSummary{ImageScanCompletedAt: &at, FindingSeverityCounts: map[string]int32{"HIGH": 1, "LOW": 2}},
		})
	}
	return out
}

func BenchmarkEncodeJSON1000Images(b *testing.B) {
	codec := awswire.NewJSONCodec(ecrMembers())
	out := details(1000)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = codec.EncodeJSON(buf[:0], out); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeJSON(b *testing.B) {
	codec := awswire.NewJSONCodec(ecrMembers())
	const body = `{"repositoryName":"hoopstat-haus/prod","imageIds":[{"imageTag":"a"},{"imageDigest":"sha256:00"}],"maxResults":100,"filter":{"tagStatus":"TAGGED"}}`
	b.ReportAllocs()
	for b.Loop() {
		var in ecr.DescribeImagesInput
		if err := codec.DecodeJSON([]byte(body), &in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeLayerPart(b *testing.B) {
	codec := awswire.NewJSONCodec(ecrMembers())
	body, err := codec.EncodeJSON(nil, &ecr.UploadLayerPartInput{LayerPartBlob: make([]byte, 20<<20), RepositoryName: aws.String("a")})
	if err != nil {
		b.Fatal(err)
	}
	scratch := make([]byte, len(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		copy(scratch, body)
		var in ecr.UploadLayerPartInput
		if err := codec.DecodeJSON(scratch, &in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeXML(b *testing.B) {
	codec := awswire.NewQueryCodec(stsMembers())
	at := time.Date(2026, 11, 24, 10, 15, 0, 0, time.UTC)
	out := &sts.AssumeRoleOutput{Credentials: &ststypes.Credentials{AccessKeyId: aws.String("ASIAX"), Expiration: &at}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = codec.EncodeXML(buf[:0], out); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOrderOfMembers holds answers to one order, so that the same answer is the same bytes.
func TestOrderOfMembers(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(ecrMembers())
	first, err := codec.EncodeJSON(nil, details(3))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := awswire.NewJSONCodec(ecrMembers()).EncodeJSON(nil, details(3))
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Fatalf("the same answer, twice:\n%s\n%s\nerror %v", first, again, err)
		}
	}
}
