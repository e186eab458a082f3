# SPDX-License-Identifier: Apache-2.0
# cmake -DIN=file -DOUT=header -P embed.cmake: the file's bytes as a NUL-terminated C array named after the file.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)" "(char)0x\\1," bytes "${hex}")
get_filename_component(name ${IN} NAME)
string(REGEX REPLACE "[^A-Za-z0-9]" "_" name ${name})
file(WRITE ${OUT} "static const char ${name}[] = {${bytes}0};\n")
