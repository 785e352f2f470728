package wecom

import (
	"regexp"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// wantClasses is the classification, written down a second time on purpose: a
// code that changes its class changes what happens to messages.
var wantClasses = map[Class][]int{
	ClassOK: {
		0,
	},
	ClassToken: {
		40014, 42001, 41001,
	},
	ClassTokenOrConfig: {
		40001,
	},
	ClassTransient: {
		-1, 6000, 45033, 45035, 45036, 301064, 302005, 2000111, 2000141, 2010003, 2090726, 2543337, 81026,
	},
	ClassQuota: {
		45009, 2400007,
	},
	ClassConfig: {
		40013, 40056, 40091, 41002, 41004, 41011, 43012, 48001, 48002, 48003, 48004, 48005, 48006, 48007, 48008, 48009,
		48010, 50001, 50003, 50006, 60011, 60020, 60031, 301002, 301007, 301042, 93000, 93001, 93004, 93008, 93019,
		853000, 853006, 80001, 85005, 85006, 85007, 701063, -30065,
	},
	ClassRecipient: {
		81013, 40003, 40031, 40066, 40068, 46004, 50002, 60003, 60021, 60111, 60123, 92000, 701008, 701099, 86007, 86216,
	},
	ClassMedia: {
		40007, 40145,
	},
	ClassPayload: {
		40004, 40005, 40006, 40008, 40009, 40011, 40032, 40033, 40035, 40039, 40058, 40063, 40074, 40094, 40123, 40127,
		40146, 40206, 41006, 41009, 41010, 41016, 41017, 41033, 42014, 42017, 42018, 42019, 42020, 42027, 42028, 42029,
		42030, 42031, 42033, 42035, 42036, 42037, 42038, 42039, 42040, 42041, 42042, 42043, 42044, 42045, 42046, 42047,
		42049, 42050, 42051, 44001, 44004, 45001, 45002, 45007, 45008, 45032, 45034, 81012, 82001, 82002, 82003, 86001,
		86201, 90200, 90201, 90202, 90203, 90204, 90206, 90207, 90208, 93006, 93017, 93018, 301015, 301016, 301017,
		301019, 830001, 830002, 830003,
	},
	ClassContent: {
		40201, 40204, 82004, 85002,
	},
	ClassState: {
		40050, 42015, 42016, 42052, 49008, 60140, 82101, 82102, 86003, 86008, 86215, 846605, 846608, 93050,
	},
	ClassBotSession: {
		846609,
	},
}

func TestErrcodesCoverTheClasses(t *testing.T) {
	n := 0
	for class, codes := range wantClasses {
		for _, code := range codes {
			n++
			e, ok := Lookup(code)
			require.True(t, ok, "code %d is missing", code)
			require.Equal(t, code, e.Code)
			require.Equal(t, class, e.Class, "code %d", code)
			require.Equal(t, class, Classify(code), "code %d", code)
		}
	}
	require.Len(t, Errcodes(), n)
}

func TestErrcodesAreComplete(t *testing.T) {
	word := regexp.MustCompile(`^[a-z][a-z0-9_]{1,39}$`)
	names := map[string]int{}
	last := -1 << 62
	for _, e := range Errcodes() {
		require.Greater(t, e.Code, last, "order, no doubles")
		last = e.Code
		require.Regexp(t, word, e.Name, "code %d", e.Code)
		require.Zero(t, names[e.Name], "name %s twice", e.Name)
		names[e.Name]++
		for _, s := range []string{e.EN.Meaning, e.EN.Fault, e.EN.Fix} {
			require.NotEmpty(t, s, "code %d", e.Code)
		}
		for _, s := range []string{e.ZH.Meaning, e.ZH.Fault, e.ZH.Fix} {
			require.True(t, hasHan(s), "code %d: %q", e.Code, s)
		}
	}
}

func hasHan(s string) bool {
	for _, r := range s {
		if unicode.Is(unicode.Han, r) {
			return true
		}
	}
	return false
}

func TestClassifyUnknownIsPermanent(t *testing.T) {
	require.Equal(t, ClassPayload, Classify(987654321))
	_, ok := Lookup(987654321)
	require.False(t, ok)
}

func TestErrcodesAreTheCallers(t *testing.T) {
	all := Errcodes()
	all[0].Name = "changed"
	require.NotEqual(t, "changed", Errcodes()[0].Name)
}
