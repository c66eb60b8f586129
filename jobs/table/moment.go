package table

import "time"

// The lengths of what is written in a date and a time.
const (
	dateLen     = len("2006-01-02")
	timeLen     = len("15:04")
	maxFraction = 6 // digits of a second's fraction: microseconds
)

// parseDate reads a date as ISO 8601 has it, and gives it in days since 1970. All others, such as
// 1/2/2020, mean different days to different people, and stay text.
func parseDate(b []byte) (days int32, ok bool) {
	if len(b) != dateLen || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	year, ok1 := fixed(b[:4])
	month, ok2 := fixed(b[5:7])
	day, ok3 := fixed(b[8:])
	if !ok1 || !ok2 || !ok3 || year == 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	return daysSince1970(year, month, day), true
}

// fixed reads digits that are as many as there are.
func fixed(b []byte) (value int, ok bool) {
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		value = value*10 + int(c-'0')
	}
	return value, true
}

func daysIn(year, month int) int {
	switch {
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	case month != 2:
		return 31
	case year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	}
	return 28
}

// daysSince1970 counts with years that begin in March, so that leap days come last.
func daysSince1970(year, month, day int) int32 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return int32(era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468)
}

// parseTimestamp reads a date and a time of day, with a T or a space between, and gives them in
// microseconds since 1970, in UTC when a zone is there. A finer fraction than that stays text.
func parseTimestamp(b []byte) (micros int64, zoned, ok bool) {
	if len(b) < dateLen+1+timeLen || b[dateLen] != 'T' && b[dateLen] != ' ' {
		return 0, false, false
	}
	days, ok := parseDate(b[:dateLen])
	if !ok {
		return 0, false, false
	}
	micros, rest, ok := timeOfDay(b[dateLen+1:])
	if !ok {
		return 0, false, false
	}
	offset, zoned, ok := zone(rest)
	return int64(days)*24*time.Hour.Microseconds() + micros - offset, zoned, ok
}

func timeOfDay(b []byte) (micros int64, rest []byte, ok bool) {
	hour, ok1 := fixed(b[:2])
	minute, ok2 := fixed(b[3:timeLen])
	if !ok1 || !ok2 || b[2] != ':' || hour > 23 || minute > 59 {
		return 0, nil, false
	}
	micros = int64(hour)*time.Hour.Microseconds() + int64(minute)*time.Minute.Microseconds()
	b = b[timeLen:]
	if len(b) < 3 || b[0] != ':' {
		return micros, b, true
	}
	second, ok := fixed(b[1:3])
	if !ok || second > 59 {
		return 0, nil, false
	}
	micros += int64(second) * time.Second.Microseconds()
	if b = b[3:]; len(b) == 0 || b[0] != '.' {
		return micros, b, true
	}
	fraction, n := digits(b, 1, 0)
	if n == 1 || n > 1+maxFraction {
		return 0, nil, false
	}
	for range 1 + maxFraction - n {
		fraction *= 10
	}
	return micros + int64(fraction), b[n:], true
}

// zone reads what a timestamp ends with: nothing, Z, or an offset from UTC, given in microseconds.
func zone(b []byte) (offset int64, zoned, ok bool) {
	switch {
	case len(b) == 0:
		return 0, false, true
	case len(b) == 1:
		return 0, true, b[0] == 'Z' || b[0] == 'z'
	case b[0] == '+':
		offset, ok = offsetFromUTC(b[1:])
	case b[0] == '-':
		offset, ok = offsetFromUTC(b[1:])
		offset = -offset
	}
	return offset, true, ok
}

// offsetFromUTC reads 02, 0200 or 02:00.
func offsetFromUTC(b []byte) (micros int64, ok bool) {
	if len(b) == 5 && b[2] == ':' {
		b = []byte{b[0], b[1], b[3], b[4]}
	}
	if len(b) != 2 && len(b) != 4 {
		return 0, false
	}
	hours, ok1 := fixed(b[:2])
	minutes, ok2 := fixed(b[2:])
	micros = int64(hours)*time.Hour.Microseconds() + int64(minutes)*time.Minute.Microseconds()
	return micros, ok1 && ok2 && hours <= 15 && minutes <= 59
}
