package match

// AppendCounted is appendCounted.
func AppendCounted(ids []int64, b []byte) ([]int64, error) { return appendCounted(ids, b) }
