package extract

import "os"

// Ended has f called when a child has ended.
func (x *Extractor) Ended(f func(*os.ProcessState)) { x.ended = f }

// RaceDetector tells whether this is built with it.
const RaceDetector = raceDetector
