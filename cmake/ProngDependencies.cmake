# Every outside library is looked for here, and a missing one is named with its Debian package.
find_package(PkgConfig REQUIRED)

function(prong_find_pkg var package)
  foreach(name ${ARGN})
    pkg_check_modules(${var} QUIET IMPORTED_TARGET GLOBAL ${name})
    if(${var}_FOUND)
      add_library(dep::${var} ALIAS PkgConfig::${var})
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "Prong needs ${ARGN}: install it with 'apt-get install ${package}'")
endfunction()

# msgpack-c changed its pkg-config name with its major versions: 4 msgpack, 5 msgpackc, 6 msgpack-c.
prong_find_pkg(msgpack libmsgpack-dev msgpack-c msgpackc msgpack)
prong_find_pkg(yaml libyaml-dev yaml-0.1)
prong_find_pkg(jansson libjansson-dev jansson)

find_package(nng QUIET)
if(NOT nng_FOUND)
  message(FATAL_ERROR "Prong needs nng 1.5 or newer: install it with 'apt-get install libnng-dev'")
endif()

find_path(UTHASH_INCLUDE uthash.h)
if(NOT UTHASH_INCLUDE)
  message(FATAL_ERROR "Prong needs uthash.h: install it with 'apt-get install uthash-dev'")
endif()
find_package(Threads REQUIRED)
