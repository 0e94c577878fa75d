package usage

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Bounds of what clients put (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html, API_MetricDatum.html).
const (
	oldest        = 14 * Day      // two weeks
	ahead         = 2 * time.Hour // of the server's clock
	maxName       = 255
	maxValue      = 1024
	maxDimensions = 30
	maxExponent   = 360 // values are at most 2 to its power
)

var (
	namespaces = regexp.MustCompile(`^[0-9A-Za-z._\-/#: ]+$`)
	units      = regexp.MustCompile(`^(None|Percent|Count(/Second)?|Seconds|Microseconds|Milliseconds|(Bytes|Bits|(Kilo|Mega|Giga|Tera)(bytes|bits))(/Second)?)?$`)
)

// reserved refuses the namespaces that the registry itself writes, and all of Amazon's.
func reserved(what, namespace string) error {
	if namespace == NamespaceBerth || strings.HasPrefix(namespace, "AWS/") {
		return fault.BadParameter("Namespace", fmt.Sprintf("The value %s of %s is reserved: the registry itself writes there", namespace, what))
	}
	return nil
}

// CheckMetric answers a fault when a metric's names are no names: too long, empty, or with characters that do not print.
func CheckMetric(m Metric) error { return m.check("Metric") }

func (m Metric) check(what string) error {
	switch {
	case len(m.Namespace) > maxName || !namespaces.MatchString(m.Namespace) || strings.HasPrefix(m.Namespace, ":") || strings.TrimSpace(m.Namespace) == "":
		return fault.BadParameter("Namespace", "must have 1 to 255 letters, digits or any of . - _ / # : and space, and not begin with a colon")
	case !printable(m.Name, maxName):
		return fault.BadParameter(what+".MetricName", "must have 1 to 255 printable ASCII characters")
	case len(m.Dimensions) > maxDimensions:
		return fault.BadParameter(what+".Dimensions", fmt.Sprintf("must have at most %d members", maxDimensions))
	case !units.MatchString(m.Unit):
		return fault.BadParameter(what+".Unit", "must be one of CloudWatch's units")
	}
	seen := map[string]bool{}
	for i, d := range m.Dimensions {
		where := fmt.Sprintf("%s.Dimensions.member.%d", what, i+1)
		switch {
		case !printable(d.Name, maxName) || strings.HasPrefix(d.Name, ":"):
			return fault.BadParameter(where+".Name", "must have 1 to 255 printable ASCII characters, and not begin with a colon")
		case !printable(d.Value, maxValue):
			return fault.BadParameter(where+".Value", "must have 1 to 1024 printable ASCII characters")
		case seen[d.Name]:
			return fault.BadParameter(where+".Name", "must not be there twice")
		}
		seen[d.Name] = true
	}
	return nil
}

// printable tells whether a text has characters of ASCII that are seen, not all of them spaces.
func printable(s string, most int) bool {
	if len(s) == 0 || len(s) > most || strings.TrimSpace(s) == "" {
		return false
	}
	for _, b := range []byte(s) {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

func (d Datum) check(what string) error {
	m := d.Metric
	m.Unit = d.Unit
	if err := m.check(what); err != nil {
		return err
	}
	for name, v := range map[string]float64{"SampleCount": d.Count, "Sum": d.Sum, "Minimum": d.Min, "Maximum": d.Max} {
		if math.IsNaN(v) || math.Abs(v) > math.Ldexp(1, maxExponent) {
			return fault.BadParameter(what+"."+name, "must be a number between -2^360 and 2^360")
		}
	}
	switch {
	case d.Count <= 0:
		return fault.BadParameter(what+".SampleCount", "must be greater than 0")
	case math.Abs(d.Sum) > math.Ldexp(d.Count, maxExponent): // an average that is no number, and no number of JSON's
		return fault.BadParameter(what+".Sum", "must not be more than SampleCount times 2^360")
	case d.Min > d.Max:
		return fault.BadParameter(what+".Minimum", "must not be greater than Maximum")
	case d.At.IsZero():
		return fault.BadParameter(what+".Timestamp", "must be there")
	}
	return nil
}

// checkPeriod answers a fault when a question's times are none.
func checkPeriod(from, to time.Time, period time.Duration) error {
	switch {
	case period < Minute || period%Minute != 0:
		return fault.BadParameter("Period", "must be 60 seconds or a multiple of it")
	case period > 366*Day: //nolint:mnd // a year, and any
		return fault.BadParameter("Period", "must not be longer than a year")
	case !from.Before(to):
		return fault.BadParameter("StartTime", "must be before EndTime")
	case from.Year() < 1970 || to.Year() > 9999: //nolint:mnd // what JSON's times can say
		return fault.BadParameter("StartTime", "must be in years that have four digits, since 1970")
	}
	return nil
}
