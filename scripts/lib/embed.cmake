# SPDX-License-Identifier: Apache-2.0
# cmake -DIN=file -DOUT=header [-DNAMED=word] -P embed.cmake: the file's bytes as a NUL-terminated C array named after the file. NAMED: wherever
# the file says `<word>_1`, the array says `<word>_<digest of the file>`, and a macro of that name in capitals says it too.
file(READ ${IN} hex HEX)
set(macro)
if(NAMED)
  file(SHA256 ${IN} digest)
  string(SUBSTRING ${digest} 0 12 digest)
  string(HEX "${NAMED}_1" from)
  string(HEX "${NAMED}_${digest}" to)
  string(REPLACE ${from} ${to} hex ${hex})
  string(TOUPPER ${NAMED} macro)
  set(macro "#define ${macro}_NAME \"${NAMED}_${digest}\"\n")
endif()
string(REGEX REPLACE "(..)" "(char)0x\\1," bytes "${hex}")
get_filename_component(name ${IN} NAME)
string(REGEX REPLACE "[^A-Za-z0-9]" "_" name ${name})
file(WRITE ${OUT} "${macro}static const char ${name}[] = {${bytes}0};\n")
