# SPDX-License-Identifier: Apache-2.0
# What is installed and how it becomes a Debian package: `ninja package` makes meterd_VERSION_ARCH.deb in the build directory. Man pages,
# completions, the journal's catalogue and meterd@.service are made from the tables (scripts/lib/docs.py) once the programs are there.
include(GNUInstallDirs)
find_program(SCDOC scdoc)
find_package(Python3 COMPONENTS Interpreter QUIET)
if(NOT SCDOC OR NOT Python3_FOUND)
  message(STATUS "no scdoc or no Python: no man pages and no package")
  return()
endif()

set(docs ${CMAKE_BINARY_DIR}/docs)
set(packed ${CMAKE_SOURCE_DIR}/systemd/package)
file(GLOB tables CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/daemon/tbl/*.def ${CMAKE_SOURCE_DIR}/systemd/man/*.scd)
set(docs_made meterd.8 meterctl.1 meterd.yaml.5 meterd-catalog.5 meterd-events.7)
set(other_made meterctl.bash meterd.bash _meterctl _meterd meterctl.fish meterd.fish meterd.catalog meterd@.service)
list(TRANSFORM docs_made PREPEND ${docs}/ OUTPUT_VARIABLE pages)
list(TRANSFORM docs_made APPEND .gz OUTPUT_VARIABLE zipped)
list(TRANSFORM zipped PREPEND ${docs}/)
list(TRANSFORM other_made PREPEND ${docs}/ OUTPUT_VARIABLE others)
add_custom_command(OUTPUT ${zipped} ${others} ${docs}/changelog.gz ${docs}/copyright
  COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/scripts/lib/docs.py ${CMAKE_SOURCE_DIR} $<TARGET_FILE_DIR:meterd> ${docs}
  COMMAND gzip -9nf ${pages}
  COMMAND sed "s/@VERSION@/${PROJECT_VERSION}/" ${packed}/changelog > ${docs}/changelog
  COMMAND gzip -9nf ${docs}/changelog
  COMMAND ${CMAKE_COMMAND} -E copy ${packed}/copyright ${docs}/copyright
  DEPENDS meterd meterctl ${tables} ${CMAKE_SOURCE_DIR}/scripts/lib/docs.py ${CMAKE_SOURCE_DIR}/systemd/meterd.service
          ${CMAKE_SOURCE_DIR}/config/meterd.yaml ${CMAKE_SOURCE_DIR}/config/catalog.yaml ${packed}/changelog ${packed}/copyright
  VERBATIM)
add_custom_target(docs ALL DEPENDS ${zipped} ${others})

set(units lib/systemd/system)
set(completions share/bash-completion/completions)
install(TARGETS meterd meterctl DESTINATION bin)
install(FILES systemd/meterd.service systemd/meterd.socket ${docs}/meterd@.service DESTINATION ${units})
install(FILES systemd/meterd.sysusers DESTINATION lib/sysusers.d RENAME meterd.conf)
install(FILES systemd/meterd.tmpfiles DESTINATION lib/tmpfiles.d RENAME meterd.conf)
install(FILES ${docs}/meterd.catalog DESTINATION lib/systemd/catalog)
install(FILES config/meterd.yaml config/catalog.yaml DESTINATION /etc/meterd PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
install(FILES config/alerts.yaml config/dashboard.json DESTINATION share/meterd)
install(FILES ${docs}/meterd.8.gz DESTINATION share/man/man8)
install(FILES ${docs}/meterctl.1.gz DESTINATION share/man/man1)
install(FILES ${docs}/meterd.yaml.5.gz ${docs}/meterd-catalog.5.gz DESTINATION share/man/man5)
install(FILES ${docs}/meterd-events.7.gz DESTINATION share/man/man7)
install(FILES ${docs}/meterctl.bash DESTINATION ${completions} RENAME meterctl)
install(FILES ${docs}/meterd.bash DESTINATION ${completions} RENAME meterd)
install(FILES ${docs}/_meterctl ${docs}/_meterd DESTINATION share/zsh/vendor-completions)
install(FILES ${docs}/meterctl.fish ${docs}/meterd.fish DESTINATION share/fish/vendor_completions.d)
install(FILES ${docs}/changelog.gz ${docs}/copyright DESTINATION share/doc/meterd)

set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME meterd)
set(CPACK_PACKAGE_VENDOR meterd)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "usage metering from Kafka: exact counters, alerts, bills")
set(CPACK_PACKAGE_DESCRIPTION "meterd counts billed API calls from Kafka exactly once per account, service and\n\
month in Redis, publishes an alert at the very call that crosses a quota or a\nprice tier, and settles each month by a dated price book. meterctl asks,\n\
explains and steers it.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "meterd maintainers <maintainers@meterd.example.org>")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles, tzdata")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server, prometheus")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${packed}/conffiles ${packed}/postinst ${packed}/prerm ${packed}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
