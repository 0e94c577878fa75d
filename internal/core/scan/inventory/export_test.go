package inventory

// MergeWithin is Merge with another bound of the work.
func MergeWithin(layers []Layer, work int) Image { return merge(layers, work) }
