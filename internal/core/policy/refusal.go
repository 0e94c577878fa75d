package policy

// Refusal is a request that was not allowed, with what that rests on. It is the Detail of an access-denied fault. It may
// tell of policies that the one who asked must not know: a face hands it out sealed alone.
type Refusal struct {
	Principal   string // who asked: an ARN, or "anonymous"
	Action      Action
	Resource    string
	Decision    Decision
	Explanation []string // sentences, see [Explain]
	// Received are the values of the condition keys that statements asked for, by key in lower case.
	Received map[string][]string
}

// Refused makes a Refusal of a question that was decided against the asker.
func Refused(principal string, q Question, d Decision) Refusal {
	r := Refusal{Principal: principal, Action: q.Action, Resource: q.Resource, Decision: d, Received: map[string][]string{}}
	if ask := q.Context; ask != nil {
		q.Context = func(key string) ([]string, bool) {
			values, ok := ask(key)
			if ok && key != externalID {
				r.Received[key] = values
			}
			return values, ok
		}
	}
	r.Explanation = Explain(q, d)
	return r
}
