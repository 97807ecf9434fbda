# Reads one JSON document, writes one line "PATH VALUE" for each string in it; PATH is keys and array indexes joined by dots.
# Newlines inside a value become spaces, those at its end go: public keys come with one. Input may be compact or spaced.

{ text = text $0 "\n" }

END {
    value("")
}

function skip() { sub(/^[ \t\r\n]+/, "", text) }

function take(pattern,    token) {
    if (!match(text, pattern)) exit 1
    token = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    return token
}

function value(path,    first) {
    skip()
    first = substr(text, 1, 1)
    if (first == "{") members(path)
    else if (first == "[") elements(path)
    else if (first == "\"") {
        gsub(/ /, "_", path) # names of keys may have spaces; the first space of a line ends its path
        print path " " string()
    }
    else take("^[-+.a-zA-Z0-9]+")
}

function members(path,    key) {
    take("^{")
    for (skip(); substr(text, 1, 1) != "}"; skip()) {
        key = string()
        skip()
        take("^:")
        value(path == "" ? key : path "." key)
        skip()
        sub(/^,/, "", text)
    }
    take("^}")
}

function elements(path,    i) {
    take("^[[]")
    i = 0
    for (skip(); substr(text, 1, 1) != "]"; skip()) {
        value(path "." i++)
        skip()
        sub(/^,/, "", text)
    }
    take("^]")
}

# \u escapes outside ASCII become "?": nothing this guest acts on (names, keys) may contain them.
function string(    token, out, escape) {
    skip()
    token = take("^\"([^\"\\\\]|\\\\.)*\"")
    token = substr(token, 2, length(token) - 2)
    out = ""
    while (match(token, /\\./)) {
        out = out substr(token, 1, RSTART - 1)
        escape = substr(token, RSTART + 1, 1)
        token = substr(token, RSTART + 2)
        if (escape == "n" || escape == "r" || escape == "t") out = out " "
        else if (escape == "u") {
            out = out ascii(substr(token, 1, 4))
            token = substr(token, 5)
        } else if (escape != "b" && escape != "f") out = out escape
    }
    out = out token
    gsub(/[\n\r]/, " ", out)
    sub(/ +$/, "", out)
    return out
}

function ascii(hex,    digits, i, code) {
    digits = "0123456789abcdef"
    code = 0
    for (i = 1; i <= 4; i++) code = code * 16 + index(digits, tolower(substr(hex, i, 1))) - 1
    return code >= 32 && code < 127 ? sprintf("%c", code) : code < 32 ? " " : "?"
}
