# Every outside library is looked for here, and a missing one is named with its Debian package.
find_package(PkgConfig QUIET)
if(NOT PKG_CONFIG_FOUND)
  message(FATAL_ERROR "Prong needs pkg-config: install it with 'apt-get install pkg-config'")
endif()

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

# nng 2 has another API; its package says itself that it does not stand in for 1.
find_package(nng 1.5 QUIET)
if(NOT nng_FOUND)
  set(found "")
  if(nng_CONSIDERED_VERSIONS)
    set(found " (found: ${nng_CONSIDERED_VERSIONS})")
  endif()
  message(FATAL_ERROR "Prong needs nng 1.5 or newer, but not 2${found}: install it with 'apt-get install libnng-dev'")
endif()

find_path(UTHASH_INCLUDE uthash.h)
if(NOT UTHASH_INCLUDE)
  message(FATAL_ERROR "Prong needs uthash.h: install it with 'apt-get install uthash-dev'")
endif()
find_package(Threads REQUIRED)

# Only `prong top` needs it, which says so where it was built without.
option(PRONG_NCURSES "build prong top with ncurses when it is there" ON)
set(NCURSES_LIBRARY "")
if(PRONG_NCURSES)
  pkg_check_modules(ncurses QUIET IMPORTED_TARGET ncurses)
  if(ncurses_FOUND)
    set(NCURSES_LIBRARY PkgConfig::ncurses)
  else()
    message(STATUS "prong top: no ncurses; install it with 'apt-get install libncurses-dev'")
  endif()
endif()

# Only `prong stream snap` needs it, which says so where it was built without.
option(PRONG_PNG "let prong stream snap write PNG with libpng when it is there" ON)
set(PNG_LIBRARY "")
if(PRONG_PNG)
  pkg_check_modules(png QUIET IMPORTED_TARGET libpng>=1.6)
  if(png_FOUND)
    set(PNG_LIBRARY PkgConfig::png)
  else()
    message(STATUS "prong stream snap: no libpng; install it with 'apt-get install libpng-dev'")
  endif()
endif()

# prong_device_library(ID PROGRAM LIBRARY PACKAGE MODULES...): a library, by its modules of pkg-config, that
# only one program of devices needs. Sets ID_LIBRARIES, which is empty where it is not there or was not
# wanted (-DPRONG_ID=OFF): the program then says at run time what it was built without.
function(prong_device_library id program library package)
  option(PRONG_${id} "build ${program} with ${library} when it is there" ON)
  set(${id}_LIBRARIES "" PARENT_SCOPE)
  string(REPLACE " " " with " packages "${package}")
  set_property(GLOBAL PROPERTY absent_${program}
               "ABSENT_PROGRAM=\"${program}\"" "ABSENT_LIBRARY=\"${library}\"" "ABSENT_PACKAGE=\"${packages}\"")
  if(PRONG_${id})
    string(TOLOWER "${id}" module)
    pkg_check_modules(${module} QUIET IMPORTED_TARGET GLOBAL ${ARGN})
    if(${module}_FOUND)
      set(${id}_LIBRARIES PkgConfig::${module} PARENT_SCOPE)
    else()
      message(STATUS "${program}: no ${library}; install it with 'apt-get install ${package}'")
    endif()
  endif()
endfunction()
prong_device_library(FFMPEG prong-video FFmpeg libavdevice-dev libavformat libavcodec libavdevice libswscale
                     libavutil)
prong_device_library(MODBUS prong-modbus libmodbus libmodbus-dev libmodbus)
prong_device_library(MOSQUITTO prong-mqtt libmosquitto libmosquitto-dev libmosquitto>=2.0 openssl)
# Debian's libaravis-dev asks for libusb in its pkg-config file, but does not bring it.
prong_device_library(ARAVIS prong-genicam Aravis "libaravis-dev libusb-1.0-0-dev" aravis-0.8)
prong_device_library(GPIOD prong-gpio "libgpiod 1.6 or newer" libgpiod-dev "libgpiod>=1.6")

if(PRONG_TESTS)
  find_package(Python3 QUIET COMPONENTS Interpreter)
  if(NOT Python3_FOUND)
    message(FATAL_ERROR
            "The tests need Python 3: install it with 'apt-get install python3', or configure with "
            "-DPRONG_TESTS=OFF.")
  endif()
endif()
