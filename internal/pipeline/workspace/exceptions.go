package workspace

import "bytes"

// exceptionsFile is a file of exceptions by itself.
type exceptionsFile struct {
	Exceptions []Exception `berth:"exceptions,required" doc:"findings that stop nothing for a while"`
}

// ParseExceptions reads a file that has exceptions alone, under the key exceptions, as berth.yaml's gate has them. It reports all that is
// wrong with it as Problems. The name is for the messages.
func ParseExceptions(name string, text []byte) ([]Exception, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	s := newSource(name, text)
	root, err := s.parse(text)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, Problems{{File: name, Message: "there is nothing in it; exceptions must be given"}}
	}
	var f exceptionsFile
	s.decode(root, &f)
	if len(s.problems) == 0 {
		checkExceptions(s, "exceptions", f.Exceptions)
	}
	return f.Exceptions, s.err()
}
