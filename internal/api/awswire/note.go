package awswire

import (
	"context"
	"reflect"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// What a request is about stands in members that have the same names in the inputs of all operations. They are looked for once for each
// type, so that no operation has to remember to say it.

// aspect is what a member says of a request.
type aspect int

const (
	aspectRepository   aspect = iota
	aspectRepositories        // a list of names
	aspectImages              // ImageIdentifiers
	aspectImage               // one
	aspectTag                 // of the one image that the other members are about
	aspectDigest
	aspectLayers // digests
	aspectLayer
	aspectResource  // an ARN
	aspectParameter // a name of something else, which is no secret
)

// aspects gives the members that are looked for. What is not here is not logged: inputs have secrets too.
func aspects() map[string]aspect {
	found := map[string]aspect{
		"RepositoryName": aspectRepository, "RepositoryNames": aspectRepositories,
		"ImageIds": aspectImages, "ImageId": aspectImage, "SubjectId": aspectImage, "ImageTag": aspectTag, "ImageDigest": aspectDigest,
		"LayerDigests": aspectLayers, "LayerDigest": aspectLayer,
		"ResourceArn": aspectResource, "ResourceARN": aspectResource,
	}
	for _, name := range []string{
		"RoleArn", "RoleName", "RoleSessionName", "UserName", "GroupName", "NewUserName", "NewGroupName", "PolicyName", "PolicyArn", "AccessKeyId", "Status",
		"OpenIDConnectProviderArn", "Url", "InstanceProfileName", "PathPrefix", "Prefix", "EcrRepositoryPrefix", "UpstreamRegistryUrl", "UploadId",
		"AlarmName", "AlarmNamePrefix", "Namespace", "MetricName", "SigningProfile", "BudgetName", "Name", "Id",
	} {
		found[name] = aspectParameter
	}
	return found
}

// noted is a member that says what a request is about.
type noted struct {
	index  int
	name   string
	aspect aspect
}

// notedOf finds those of an input's type.
func notedOf(in reflect.Type) []noted {
	known := aspects()
	var found []noted
	for i := range in.NumField() {
		f := in.Field(i)
		if a, ok := known[f.Name]; ok && f.IsExported() && a.fits(f.Type) {
			found = append(found, noted{i, lowerFirst(f.Name), a})
		}
	}
	return found
}

// noted finds them, once.
func (c *codec) noted(in reflect.Type) []noted {
	if members, ok := c.notes.Load(in); ok {
		return members.([]noted) //nolint:forcetypeassert // nothing else is in it
	}
	members := notedOf(in)
	c.notes.Store(in, members)
	return members
}

func (a aspect) fits(t reflect.Type) bool {
	element := func() bool { return t.Kind() == reflect.Slice && isText(t.Elem()) }
	switch a {
	case aspectRepositories, aspectLayers:
		return element()
	case aspectImages:
		return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
	case aspectImage:
		return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
	case aspectRepository, aspectTag, aspectDigest, aspectLayer, aspectResource, aspectParameter:
	}
	return isText(t)
}

func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.String
}

func textOf(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	return v.String()
}

// noteInput tells the audit log what an input is about.
func noteInput(ctx context.Context, members []noted, in reflect.Value) {
	e := middleware.Note(ctx)
	var one audit.ImageName
	for _, m := range members {
		v := in.Field(m.index)
		if v.IsZero() {
			continue
		}
		switch m.aspect {
		case aspectRepository:
			e.Repository = textOf(v)
		case aspectRepositories:
			if e.Repository == "" && v.Len() == 1 {
				e.Repository = textOf(v.Index(0))
			}
		case aspectImages:
			for i := range v.Len() {
				e.Images = append(e.Images, imageName(v.Index(i)))
			}
		case aspectImage:
			e.Images = append(e.Images, imageName(v.Elem()))
		case aspectTag:
			one.Tag = textOf(v)
		case aspectDigest:
			one.Digest = oci.Digest(textOf(v))
		case aspectLayers:
			for i := range v.Len() {
				e.Layers = append(e.Layers, oci.Digest(textOf(v.Index(i))))
			}
		case aspectLayer:
			e.Layers = append(e.Layers, oci.Digest(textOf(v)))
		case aspectResource:
			e.Resources = append(e.Resources, textOf(v))
		case aspectParameter:
			e.Parameters = append(e.Parameters, audit.Parameter{Name: m.name, Value: textOf(v)})
		}
	}
	if one != (audit.ImageName{}) {
		e.Images = append(e.Images, one)
	}
}

func imageName(v reflect.Value) audit.ImageName {
	var n audit.ImageName
	if f := v.FieldByName("ImageDigest"); f.IsValid() && isText(f.Type()) {
		n.Digest = oci.Digest(textOf(f))
	}
	if f := v.FieldByName("ImageTag"); f.IsValid() && isText(f.Type()) {
		n.Tag = textOf(f)
	}
	return n
}

// note tells the audit log which operation it is, and who asks. Requests of all protocols come by do and fail, which call it.
func (x *exchange) note(caller identity.Caller) {
	e := middleware.Note(x.r.Context())
	e.Caller = caller
	e.Service, e.Operation, e.ReadOnly = x.svc.AuditName, x.name, audit.ReadOnly(x.name)
	if e.Service == "" {
		e.Service = x.svc.Name
	}
}

// noteFault tells it what went wrong. Who brought no credentials has asked nothing yet, and who has brought wrong ones too often is not listened to:
// nobody fills the log by guessing.
func (x *exchange) noteFault(e Exception, unheard bool) {
	entry := middleware.Note(x.r.Context())
	if unheard {
		entry.Service = ""
		return
	}
	if entry.Service == "" && x.svc != nil {
		if _, ok := x.svc.Operations[x.name]; ok { // it was refused before it was begun
			x.note(identity.Caller{})
		}
	}
	entry.Fault, entry.Message = e.Code, e.Message
	if entry.Caller.Origin.Address == "" {
		entry.Caller.Origin = authn.Origin(x.r)
	}
}
