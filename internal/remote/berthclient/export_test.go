package berthclient

import "time"

// AnswerWithin sets how long an answer may take.
func (c *Client) AnswerWithin(d time.Duration) { c.answerWithin = d }
