package publish

// PlainURL is for tests.
var PlainURL = plainURL
