# How every target of the project is compiled: warnings, sanitizers, include root.
add_compile_definitions(_GNU_SOURCE)
set(PRONG_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wwrite-strings -Wcast-qual -Wpointer-arith -Wundef -Wvla -Wformat=2
    -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference -fno-common)
if(PRONG_WERROR)
  list(APPEND PRONG_WARNINGS -Werror)
endif()
if(PRONG_SANITIZE)
  add_compile_options(-fsanitize=${PRONG_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PRONG_SANITIZE})
  if(PRONG_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

# prong_target(NAME): the house's warnings and the include root, so that every include names its module.
function(prong_target name)
  target_compile_options(${name} PRIVATE ${PRONG_WARNINGS})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
endfunction()
