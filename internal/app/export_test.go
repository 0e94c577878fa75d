package app

// ListenLocalhost opens localhost with a function that may find what real machines seldom have.
var ListenLocalhost = listenLocalhost //nolint:gochecknoglobals // for tests
